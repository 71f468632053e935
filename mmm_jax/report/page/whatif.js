// The what-if: spend as the sliders, boxes and the page's address say, and what it would bring.

const data = JSON.parse(document.getElementById("plan-data").textContent);
const plan = new Plan(data);
const referenceResponse = data.referenceResponse && unpack(data.referenceResponse);
const byId = (id) => document.getElementById(id);
const STEPS = Number(byId("slider-0").max);
const atPlan = plan.respond(data.plan);
const planned = atPlan.channels.map((draws) => summary(draws, data.prob));
const bars = barRange();
let spend = [...data.plan];
let shown = 0;
let speaking = 0;

function barRange() {
  const ends = data.channels.flatMap((_, channel) => plan.curve(channel, data.plan).flatMap(({ mean, low, high }) => [mean, low, high]));
  return { low: Math.min(0, ...ends), high: Math.max(...ends) || 1 };
}

// Where channels multiply, one may bring more than it does beside the plan.
function widenBars(found) {
  bars.low = Math.min(bars.low, found.low);
  bars.high = Math.max(bars.high, found.high);
}

function interval({ low, high }) {
  return `${number(low)} to ${number(high)}`;
}

function percentOfInterval() {
  return `${share(data.prob)} interval`;
}

function put(id, text, value) {
  byId(id).textContent = text;
  if (value !== undefined) byId(id).dataset.value = value;
}

function showResponse(found) {
  const response = summary(found.total, data.prob);
  put("response-value", `${number(response.mean)} ${data.target}`, response.mean);
  put("response-range", `${percentOfInterval()}: ${interval(response)}`, `${response.low} ${response.high}`);
}

// Draw by draw, so that what both share cancels.
function showGain(name, found, other) {
  const gains = found.total.map((value, draw) => value - other[draw]);
  const gain = summary(gains, data.prob);
  const better = mean(gains.map((value) => (value > 0 ? 1 : 0)));
  const same = gains.every((value) => value === 0);
  const base = mean(other);
  const relative = base ? ` (${(gain.mean > 0 ? "+" : "") + share(gain.mean / base)})` : "";
  put(`${name}-value`, same ? "No difference" : signed(gain.mean) + relative, gain.mean);
  put(`${name}-range`, same ? "" : `${percentOfInterval()}: ${interval(gain)}`, `${gain.low} ${gain.high}`);
  put(`${name}-chance`, same ? "" : `Better with a probability of ${chance(better)}`, better);
}

function showSpend() {
  const [now, before] = [sum(spend), sum(data.plan)];
  const apart = Math.abs(now - before) < 1e-9 * before ? 0 : now - before;
  put("spend-value", `${number(now)} ${data.currency}`, now);
  put("spend-range", apart ? `${signed(apart)} (${change(now, before)}) against the plan` : "As much as the plan", apart);
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

function isBeyond(channel) {
  return data.observed[channel] !== null && spend[channel] > data.observed[channel] * (1 + 1e-9);
}

function showWarning() {
  const far = data.channels.filter((_, channel) => isBeyond(channel));
  byId("warning").hidden = far.length === 0;
  put("warning", far.length ? `${far.join(", ")}: beyond what was observed. There the curve is the model's guess.` : "");
}

function showChannel(channel, found) {
  const slider = byId(`slider-${channel}`);
  slider.value = stepOf(channel, spend[channel]);
  slider.setAttribute("aria-valuetext", `${number(spend[channel])} ${data.currency}, ${againstPlan(channel)}`);
  put(`note-${channel}`, `${number(spend[channel])} ${data.currency}, ${againstPlan(channel)}` + (isBeyond(channel) ? ", beyond what was observed" : ""));
  byId(`note-${channel}`).classList.toggle("far", isBeyond(channel));
  put(`brings-${channel}`, `Brings ${number(found.mean)} ${data.target} (${percentOfInterval()}: ${interval(found)})`, found.mean);
  byId(`brings-${channel}`).dataset.range = `${found.low} ${found.high}`;
  drawBar(byId(`bar-${channel}`), found, bars, planned[channel].mean);
}

function stepOf(channel, amount) {
  return Math.round((STEPS * amount) / data.highest[channel]);
}

// The plan and the reference exactly where the slider meets them, round amounts elsewhere.
function amountAt(channel, step) {
  const exact = [data.plan, data.reference ?? data.plan].map((levels) => levels[channel]);
  const met = exact.find((amount) => stepOf(channel, amount) === step);
  return met ?? Number(((step / STEPS) * data.highest[channel]).toPrecision(4));
}

function againstPlan(channel) {
  const before = data.plan[channel];
  const words = change(spend[channel], before);
  if (words === "unchanged") return "as in the plan";
  return before === 0 ? "nothing in the plan" : `${words} against the plan's ${number(before)}`;
}

// What a person would type: the cents of a million are noise.
function typed(amount) {
  return amount >= 1000 ? String(Math.round(amount)) : String(Number(amount.toPrecision(4)));
}

function showCurve(found) {
  const marks = [{ spend: data.plan[shown], kind: "plan" }];
  if (data.reference) marks.unshift({ spend: data.reference[shown], kind: "reference" });
  const now = { spend: spend[shown], ...summary(found.channels[shown], data.prob) };
  const across = `Spend on the channel (${data.currency})`;
  const up = `Response of the channel (${data.target})`;
  const described = `Response curve of ${data.channels[shown]}: at ${number(now.spend)} ${data.currency} it brings ${number(now.mean)}.`;
  byId("shown").value = shown;
  drawCurve(byId("curve"), { points: plan.curve(shown, spend), now, marks, observed: data.observed[shown], names: { across, up, described } });
}

function show() {
  const found = plan.respond(spend);
  showResponse(found);
  showGain("gain", found, atPlan.total);
  if (referenceResponse) showGain("reference", found, referenceResponse);
  showSpend();
  showWarning();
  const channels = found.channels.map((draws) => summary(draws, data.prob));
  channels.forEach(widenBars);
  channels.forEach((response, channel) => showChannel(channel, response));
  showCurve(found);
  speakLater();
}

// One sentence once the sliders rest: a screen reader could not follow them.
function speakLater() {
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    const parts = ["response-value", "response-range", "gain-value", "gain-chance", "spend-range"];
    put("spoken", parts.map((id) => byId(id).textContent).filter(Boolean).join(". "));
  }, 600);
}

function move(channel, amount) {
  spend[channel] = Math.min(Math.max(amount, 0), data.highest[channel]);
  shown = channel;
  remember();
  show();
}

function moveAll(amounts) {
  spend = amounts.map((amount, channel) => Math.min(Math.max(amount, 0), data.highest[channel]));
  fillBoxes();
  remember();
  show();
}

function fillBoxes() {
  spend.forEach((amount, channel) => (byId(`spend-${channel}`).value = typed(amount)));
}

// The address holds every channel that is not as planned, in currency: #TV=120000&Radio=0.
function remember() {
  const moved = new URLSearchParams();
  spend.forEach((amount, channel) => amount !== data.plan[channel] && moved.set(data.channels[channel], amount));
  const hash = String(moved) && `#${moved}`;
  try {
    history.replaceState(null, "", location.pathname + location.search + hash);
  } catch {
    // Some viewers show pages that have no address; the sliders work all the same.
  }
}

function fromAddress() {
  const moved = new URLSearchParams(location.hash.slice(1));
  const amounts = data.channels.map((name) => (moved.has(name) ? Number(moved.get(name)) : NaN));
  shown = Math.max(amounts.findIndex((amount) => amount >= 0), 0);
  moveAll(amounts.map((amount, channel) => (amount >= 0 ? amount : data.plan[channel])));
}

function follow(channel) {
  const [slider, box] = [byId(`slider-${channel}`), byId(`spend-${channel}`)];
  slider.addEventListener("input", () => {
    move(channel, amountAt(channel, Number(slider.value)));
    box.value = typed(spend[channel]);
  });
  box.addEventListener("input", () => box.value !== "" && move(channel, Number(box.value)));
  box.addEventListener("change", fillBoxes);
  for (const control of [slider, box]) control.addEventListener("focus", () => choose(channel));
}

function choose(channel) {
  shown = channel;
  showCurve(plan.respond(spend));
}

function scaleOf(channel) {
  const part = (level) => level / data.highest[channel];
  const reference = data.reference && part(data.reference[channel]);
  return { plan: part(data.plan[channel]), reference, observed: data.observed[channel] === null ? 1 : part(data.observed[channel]) };
}

function start() {
  data.channels.forEach((_, channel) => follow(channel));
  document.querySelectorAll(".scale").forEach((holder, channel) => drawScale(holder, scaleOf(channel)));
  byId("reset").addEventListener("click", () => moveAll(data.plan));
  byId("rescale").addEventListener("click", () => moveAll(spend.map((amount) => (amount * sum(data.plan)) / (sum(spend) || 1))));
  byId("to-reference")?.addEventListener("click", () => moveAll(data.reference));
  byId("shown").addEventListener("change", (event) => choose(Number(event.target.value)));
  addEventListener("hashchange", fromAddress);
  new ResizeObserver(() => showCurve(plan.respond(spend))).observe(byId("curve"));
  fromAddress();
}

start();
