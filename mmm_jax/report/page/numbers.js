// Numbers as the page's static part has them: mmm_jax/plots/style.py and mmm_jax/report/words.py.

const UNITS = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"], [1, ""]];

function number(value) {
  if (!Number.isFinite(value)) return "unknown";
  const rounded = Number(significant(value, 3));
  if (rounded === 0) return "0";
  const [size, letter] = UNITS.find(([least]) => Math.abs(rounded) >= least) || UNITS.at(-1);
  return withMinus(threeDigits(rounded / size) + letter);
}

function share(value) {
  if (!Number.isFinite(value)) return "unknown";
  return withMinus(fixed(100 * value, Math.abs(value) < 0.0995 ? 1 : 0) + "%");
}

// No number of draws shows that something is certain.
function chance(probability) {
  if (probability > 0.995) return "over 99%";
  return probability < 0.005 ? "under 1%" : share(probability);
}

function signed(value) {
  return (value > 0 ? "+" : "") + number(value);
}

function change(now, before) {
  if (before === 0) return now > 0 ? "new" : "unchanged";
  const words = share(now / before - 1);
  return words === "0.0%" ? "unchanged" : (now > before ? "+" : "") + words;
}

// JavaScript rounds ties away from 0, Python to the even digit: 1.125 is 1.12 in both parts of the page.
function significant(value, digits) {
  const [mantissa, exponent] = Math.abs(value).toExponential(80).split("e");
  const kept = mantissa.slice(0, digits + 1);
  const found = staysAtTie(kept, mantissa.slice(digits + 1)) ? `${kept}e${exponent}` : Math.abs(value).toExponential(digits - 1);
  return (value < 0 ? "-" : "") + found;
}

function fixed(value, digits) {
  const exact = Math.abs(value).toFixed(80);
  const point = exact.indexOf(".");
  const kept = exact.slice(0, digits ? point + 1 + digits : point);
  const rest = exact.slice(digits ? point + 1 + digits : point + 1);
  const found = staysAtTie(kept, rest) ? kept : Math.abs(value).toFixed(digits);
  return (value < 0 && Number(found) !== 0 ? "-" : "") + found;
}

function staysAtTie(kept, rest) {
  return /^50*$/.test(rest) && "02468".includes(kept.at(-1));
}

// Exponents where Python writes them.
function threeDigits(value) {
  const exponent = Math.floor(Math.log10(Math.abs(value)) + 1e-12);
  if (exponent >= -4 && exponent < 3) return value.toPrecision(3);
  return value.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
}

function withMinus(text) {
  return text.replaceAll("-", "\u2212");
}
