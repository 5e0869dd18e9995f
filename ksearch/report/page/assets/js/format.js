// Numbers as people read them. What was not measured is a dash, never a zero.

const DASH = "\u2013";

function us(value) {
  if (value === null || value === undefined) return DASH;
  return value >= 100 ? thousands(value, 0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const FORMATS = new Map(); // making one costs more than using it a thousand times

function thousands(value, digits) {
  if (!FORMATS.has(digits))
    FORMATS.set(digits, new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  return FORMATS.get(digits).format(value);
}

// Nats, signed.
function nats(value, digits = 2) {
  if (value === null || value === undefined) return DASH;
  return `${value < 0 ? "\u2212" : "+"}${Math.abs(value).toFixed(digits)}`;
}

function plain(value, digits = 2) {
  if (value === null || value === undefined) return DASH;
  return value < 0 ? `\u2212${Math.abs(value).toFixed(digits)}` : value.toFixed(digits);
}

// exp of a gain: how many times as fast.
function times(gain) {
  if (gain === null || gain === undefined) return DASH;
  return `${factor(Math.exp(gain))}\u00d7`;
}

function factor(value) {
  return value >= 100 ? thousands(value, 0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function percent(value) {
  return value === null || value === undefined ? DASH : `${Math.round(100 * value)} %`;
}

function seconds(value) {
  if (value === null || value === undefined) return DASH;
  if (value < 100) return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;
  const minutes = Math.floor(value / 60),
    rest = Math.round(value % 60);
  return minutes < 100 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function dollars(value) {
  return value === null || value === undefined ? DASH : `$${value.toFixed(value < 1 && value > 0 ? 3 : 2)}`;
}

function many(count, one, more) {
  return `${thousands(count, 0)} ${count === 1 ? one : more || `${one}s`}`;
}

function moment(epoch) {
  return new Date(1000 * epoch).toISOString().slice(0, 16).replace("T", " ") + " UTC";
}
