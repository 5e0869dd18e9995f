// Elements and text. Everything that a run's file says is untrusted: it becomes a text node and never markup.

const SVG = "http://www.w3.org/2000/svg";

function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function s(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : visible(String(child)));
  }
}

// A terminal's colour sequences carry no meaning here; other control and direction characters could make a text look
// like another one, so they are shown as what they are.
const TERMINAL = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

function visible(text) {
  return text
    .replace(TERMINAL, "")
    .replace(HIDDEN, (found) => `\u27e8U+${found.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`);
}

function replaceChildren(element, ...children) {
  element.textContent = "";
  append(element, children);
  return element;
}

// May break after an underscore or slash, as names in code are long.
function breakable(text) {
  return text.split(/(?<=[_/.])/).flatMap((part, at) => (at === 0 ? [part] : [h("wbr"), part]));
}

function button(label, click, attributes) {
  return h("button", { type: "button", click, ...attributes }, label);
}

// A row of buttons of which one is pressed.
function choice(label, options, chosen, pick) {
  const group = h("div", { class: "choice", role: "group", "aria-label": label });
  for (const option of options) {
    const pressed = option.value === chosen;
    group.append(
      button(option.label, () => pick(option.value), {
        "aria-pressed": String(pressed),
        disabled: option.disabled,
        title: option.title,
        "aria-label": option.title && option.label.length < 3 ? option.title : null,
      }),
    );
  }
  return group;
}

function copyButton(text, what) {
  const made = button(
    "Copy",
    async () => {
      made.textContent = (await copied(text)) ? "Copied" : "Press Ctrl-C";
      setTimeout(() => {
        made.textContent = "Copy";
      }, 1600);
    },
    { class: "small", "aria-label": `Copy ${what}` },
  );
  return made;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // refused by the browser or its owner
  }
}

function saveButton(name, text) {
  return button(
    "Save",
    () => {
      const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
      const link = h("a", { href: address, download: name.replace(/[^\w.-]+/g, "_") });
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 1000);
    },
    { class: "small", "aria-label": `Save ${visible(name)}` },
  );
}

function heading(id, text, ...more) {
  return h("div", { class: "head" }, h("h2", { id: `${id}-h` }, text), ...more);
}

function facts(pairs) {
  const list = h("dl", { class: "facts" });
  for (const [name, value, note] of pairs) {
    if (value === null || value === undefined) continue;
    list.append(h("div", {}, h("dt", { title: note }, name), h("dd", {}, value)));
  }
  return list;
}
