// Response of every draw at any spend, from curves between a few levels: mmm_jax/report/curves.py in the browser.

function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

function quantile(values, probability) {
  const sorted = Float64Array.from(values).sort();
  const place = probability * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function summary(values, prob) {
  return { mean: mean(values), low: quantile(values, (1 - prob) / 2), high: quantile(values, (1 + prob) / 2) };
}

// Slope at a knot of the monotone cubic through `y[start + i]` at `x[i]`: Steffen (1990).
function slope(x, y, start, i) {
  const rise = (j) => (y[start + j + 1] - y[start + j]) / (x[j + 1] - x[j]);
  const last = x.length - 1;
  if (i === 0) return endSlope(x[1] - x[0], x[2] - x[1], rise(0), rise(1));
  if (i === last) return endSlope(x[last] - x[last - 1], x[last - 1] - x[last - 2], rise(last - 1), rise(last - 2));
  const [before, after, left, right] = [rise(i - 1), rise(i), x[i] - x[i - 1], x[i + 1] - x[i]];
  const parabola = (before * right + after * left) / (left + right);
  return (Math.sign(before) + Math.sign(after)) * Math.min(Math.abs(before), Math.abs(after), Math.abs(parabola) / 2);
}

function endSlope(near, far, first, second) {
  const parabola = first + ((first - second) * near) / (near + far);
  return parabola * first > 0 ? Math.sign(first) * Math.min(Math.abs(parabola), 2 * Math.abs(first)) : 0;
}

// One row of `knots` values after the other, each read off at the same place.
function interpolate(x, y, rows, place) {
  const after = x.findIndex((knot) => knot > place);
  const i = after < 1 ? x.length - 2 : after - 1;
  const width = x[i + 1] - x[i];
  const t = (place - x[i]) / width;
  return Float64Array.from({ length: rows }, (_, row) => {
    const start = row * x.length;
    const [low, high] = [y[start + i], y[start + i + 1]];
    const ends = (1 - t) * (1 - t) * ((1 + 2 * t) * low + t * width * slope(x, y, start, i));
    return ends + t * t * ((3 - 2 * t) * high - (1 - t) * width * slope(x, y, start, i + 1));
  });
}

// The model of the page: effects of every channel, by draw and period, and what they bring together.
class Plan {
  constructor(data) {
    const { draws, periods, positions, highest, prob } = data;
    Object.assign(this, { draws, periods, positions, highest, prob });
    const all = unpack(data.effects);
    this.rows = draws * periods;
    const size = all.length / data.channels.length;
    this.curves = data.channels.map((_, channel) => all.subarray(channel * size, (channel + 1) * size));
    this.baseline = data.baseline && unpack(data.baseline);
    this.none = data.channels.map((_, channel) => this.atKnot(channel, 0));
    this.known = new Map();
  }

  atKnot(channel, knot) {
    const knots = this.positions[channel].length;
    return Float64Array.from({ length: this.rows }, (_, row) => this.curves[channel][row * knots + knot]);
  }

  // Only the channel that moved is interpolated anew.
  effect(channel, spend) {
    const last = this.known.get(channel);
    if (last && last.spend === spend) return last.effect;
    const place = Math.sqrt(spend / this.highest[channel]);
    const effect = interpolate(this.positions[channel], this.curves[channel], this.rows, place);
    this.known.set(channel, { spend, effect });
    return effect;
  }

  allEffects(spend) {
    return spend.map((amount, channel) => this.effect(channel, amount));
  }

  respond(spend) {
    const effects = this.allEffects(spend);
    const together = addUp(effects);
    if (!this.baseline) return { total: together, channels: effects };
    const total = this.brought(together, addUp(this.none));
    return { total, channels: effects.map((_, channel) => this.brought(together, this.others(effects, channel))) };
  }

  // All effects, with one channel's as if nothing were spent on it.
  others(effects, channel) {
    return addUp(effects.map((effect, index) => (index === channel ? this.none[index] : effect)));
  }

  // Where effects multiply: the expected target with one sum of them, less that with another, over the periods.
  brought(more, less) {
    const found = new Float64Array(this.draws);
    for (let row = 0; row < this.rows; row++) {
      found[Math.floor(row / this.periods)] += this.baseline[row] * (Math.exp(more[row]) - Math.exp(less[row]));
    }
    return found;
  }

  // What one channel brings at each of its knots, all others as they are.
  curve(channel, spend) {
    const others = this.baseline && this.others(this.allEffects(spend), channel);
    return this.positions[channel].map((place, knot) => {
      const effect = this.atKnot(channel, knot);
      const response = others ? this.brought(this.instead(others, channel, effect), others) : effect;
      return { spend: place * place * this.highest[channel], ...summary(response, this.prob) };
    });
  }

  instead(others, channel, effect) {
    return others.map((sum, row) => sum - this.none[channel][row] + effect[row]);
  }
}

function addUp(rows) {
  return rows[0].map((_, index) => rows.reduce((sum, row) => sum + row[index], 0));
}
