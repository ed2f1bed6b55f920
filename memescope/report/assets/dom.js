// Building the page. Every text goes in as a text node or a property, never as markup: the page's own
// Content-Security-Policy (Trusted Types) would refuse markup made from a string.

const $ = (id) => document.getElementById(id);

// h("p", {class: "a", dir: "auto", onclick: f}, "text", node, ...): an element. `style` takes an object of CSS properties.
function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

// The same for SVG.
function s(tag, attributes, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style")
      for (const [property, to] of Object.entries(value)) element.style.setProperty(property, to);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

function replace(element, ...children) {
  element.replaceChildren(...present(children));
}

// Children that are not there (null, undefined, false) are left out; lists of children stand for their members.
const present = (children) =>
  children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

const number = (n) => n.toLocaleString("en");
const plural = (n, one, many) => `${number(n)} ${n === 1 ? one : many}`;

// A probability in words that never claims certainty: 99.97 % is "> 99%", not "100%".
function percent(p) {
  if (p === null || p === undefined) return "–";
  if (p > 0 && p < 0.01) return "< 1%";
  if (p > 0.99 && p < 1) return "> 99%";
  return `${Math.round(p * 100)}%`;
}

const words = (name) => name.replaceAll("_", " ").replaceAll("-", " ");

// A file name in which characters that would disguise it (controls, changes of direction) are spelt out.
function plainName(path) {
  return path.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, (c) =>
    c === "\n" ? "⏎" : `⟨U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`,
  );
}

const languageNames = new Intl.DisplayNames(["en"], { type: "language", fallback: "none" });

// English name of a language code, or undefined where the code is none: such a code never becomes a `lang` attribute.
function languageName(code) {
  return /^[a-z]{2,3}$/.test(code) ? languageNames.of(code) : undefined;
}

// Attributes for an element that holds text of a meme: its own direction, its own language.
const textOf = (row, extra) => ({ dir: "auto", lang: languageName(row.lang) ? row.lang : null, ...extra });
