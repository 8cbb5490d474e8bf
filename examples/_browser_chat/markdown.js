// Markdown as it grows, as nodes of the page.
//
// Rules:
// 1. Text becomes text nodes and nothing else. HTML in it is shown as it is written; no attribute is made of it but the
//    address of a link, and that is http, https or mailto.
// 2. What is unfinished does not flicker: emphasis, code and tables count as closed where the text ends so far, and a
//    few characters are held back as long as they may mean one thing or another. `final` ends that.
// 3. Nodes that are there stay: `patch` adds to them. So a selection survives, and a code block keeps where it is scrolled.
//
// A node is a string, or [tag, attributes, children].

const DEEPEST = 12;

export function render(source, final) {
  return blocks(source.replace(/\r\n?/g, "\n").replace(/\t/g, "    ").split("\n"), !final, 0);
}

// Blocks

const FENCE = /^ {0,3}(`{3,}|~{3,}) *([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6}) +(.*?)(?: +#+)? *$/;
const RULE = /^ {0,3}([-*_])(?: *\1){2,} *$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?: +|$)/;
const DELIMITER = /^ *\|?(?: *:?-+:? *\|)* *:?-+:? *\|? *$/;
// The beginning of a line that may become a heading, an item, a fence, a rule or a row.
const UNDECIDED = /^ *(?:#{1,6}|[-+]|\d{1,9}[.)]?|[-*_](?: ?[-*_])*|`{1,2}|~{1,2}|\||>)? *$/;

const isBlank = (line) => /^\s*$/.test(line);

function blocks(lines, grows, depth) {
  const nodes = [];
  if (grows && UNDECIDED.test(lines.at(-1))) lines = lines.slice(0, -1);
  for (let at = 0; at < lines.length; ) {
    const isTail = (end) => grows && end >= lines.length;
    const line = lines[at];
    let match;
    if (isBlank(line)) {
      at += 1;
    } else if ((match = FENCE.exec(line))) {
      const end = endOfFence(lines, at + 1, match[1]);
      nodes.push(codeBlock(lines.slice(at + 1, end), match, line.search(/\S/), isTail(end), isTail(at + 1)));
      at = end + 1;
    } else if ((match = HEADING.exec(line))) {
      nodes.push([`h${Math.min(match[1].length + 1, 6)}`, {}, inline(match[2], isTail(at + 1))]);
      at += 1;
    } else if (RULE.test(line)) {
      nodes.push(["hr", {}, []]);
      at += 1;
    } else if (QUOTE.test(line) && depth < DEEPEST) {
      let end = at + 1;
      while (end < lines.length && (QUOTE.test(lines[end]) || isLazy(lines, end))) end += 1;
      const inner = lines.slice(at, end).map((each) => each.replace(QUOTE, ""));
      nodes.push(["blockquote", {}, blocks(inner, isTail(end), depth + 1)]);
      at = end;
    } else if (ITEM.test(line) && depth < DEEPEST) {
      const [list, end] = listFrom(lines, at, grows, depth);
      nodes.push(list);
      at = end;
    } else if (isTable(lines, at, grows)) {
      let end = at + 1;
      while (end < lines.length && lines[end].includes("|")) end += 1;
      nodes.push(table(lines.slice(at, end), isTail(end)));
      at = end;
    } else {
      let end = at + 1;
      while (end < lines.length && isLazy(lines, end) && !isTable(lines, end, grows)) end += 1;
      const text = lines.slice(at, end).map((each) => each.trimStart()).join("\n").trimEnd();
      nodes.push(["p", {}, inline(text, isTail(end))]);
      at = end;
    }
  }
  return nodes;
}

// Whether a line goes on with the paragraph before it.
function isLazy(lines, at) {
  const line = lines[at];
  return !(isBlank(line) || FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line));
}

function endOfFence(lines, at, fence) {
  const closes = new RegExp(`^ {0,3}${fence[0]}{${fence.length},} *$`);
  while (at < lines.length && !closes.test(lines[at])) at += 1;
  return at;
}

function codeBlock(lines, [, fence, info], indent, grows, isUnnamed) {
  // The last line may become the closing fence.
  if (grows && lines.length && /^ {0,3}(`+|~+)$/.test(lines.at(-1)) && lines.at(-1).trim()[0] === fence[0]) lines = lines.slice(0, -1);
  const text = lines.map((line) => line.slice(Math.min(indent, line.search(/\S|$/)))).join("\n");
  const language = isUnnamed ? "" : info.trim();
  const copy = ["button", { type: "button", class: "copy", "aria-label": "Copy the code" }, []];
  const code = ["pre", { tabindex: "0" }, [["code", {}, [text]]]];
  return ["div", { class: "code" }, [["div", { class: "bar" }, [["span", {}, [language]], copy]], code]];
}

function listFrom(lines, at, grows, depth) {
  const [, margin, marker] = ITEM.exec(lines[at]);
  const kind = marker.length > 1 ? marker.at(-1) : marker;
  const items = [];
  while (at < lines.length) {
    const match = ITEM.exec(lines[at]);
    if (!match || (match[2].length > 1 ? match[2].at(-1) : match[2]) !== kind || match[1].length > margin.length + 1 || RULE.test(lines[at])) break;
    const inner = [lines[at].slice(match[0].length)];
    const wanted = match[1].length + 2;
    for (at += 1; at < lines.length; at += 1) {
      const line = lines[at];
      const indent = line.search(/\S/);
      if (isBlank(line)) {
        const next = lines.slice(at + 1).find((each) => !isBlank(each));
        if (next === undefined || (next.search(/\S/) < wanted && !ITEM.test(next))) break;
        inner.push("");
      } else if (indent >= wanted) {
        inner.push(line.slice(Math.min(indent, match[0].length)));
      } else if (inner.at(-1) !== "" && isLazy(lines, at)) {
        inner.push(line.trimStart());
      } else {
        break;
      }
    }
    items.push([inner, at]);
  }
  const children = items.map(([inner, end]) => ["li", {}, blocks(inner, grows && end >= lines.length, depth + 1)]);
  return [marker.length > 1 ? ["ol", { start: String(parseInt(marker)) }, children] : ["ul", {}, children], at];
}

function isTable(lines, at, grows) {
  if (!lines[at].includes("|")) return false;
  const next = lines[at + 1];
  if (next !== undefined && next.includes("|") && DELIMITER.test(next)) return true;
  // A line that begins like a row, with at most the beginning of a delimiter behind it.
  return grows && /^ *\|/.test(lines[at]) && at + 2 >= lines.length && /^[-:| ]*$/.test(next ?? "");
}

function table([header, delimiter = "", ...rows], grows) {
  const sides = cells(delimiter).map((cell) => (/^:-+:$/.test(cell) ? "middle" : /-:$/.test(cell) ? "right" : "left"));
  const row = (line, tag, isTail) => {
    const all = cells(line);
    const each = (text, column) => [tag, { class: sides[column] ?? "left" }, inline(text, isTail && column === all.length - 1)];
    return ["tr", {}, all.map(each)];
  };
  const body = rows.map((line, index) => row(line, "td", grows && index === rows.length - 1));
  const head = ["thead", {}, [row(header, "th", grows && !rows.length)]];
  return ["div", { class: "table", tabindex: "0" }, [["table", {}, body.length ? [head, ["tbody", {}, body]] : [head]]]];
}

function cells(line) {
  const found = [""];
  let inCode = false;
  const text = line.trim().replace(/^\|/, "");
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "\\" && text[at + 1] === "|") found[found.length - 1] += text[(at += 1)];
    else if (text[at] === "|" && !inCode) found.push("");
    else {
      if (text[at] === "`") inCode = !inCode;
      found[found.length - 1] += text[at];
    }
  }
  if (found.length > 1 && isBlank(found.at(-1))) found.pop();
  return found.map((cell) => cell.trim());
}

// Within a block

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", "#39": "'" };
const MARKS = { "**": "strong", __: "strong", "*": "em", _: "em", "~~": "del" };
const isWord = (character) => character !== undefined && /[\p{L}\p{N}_]/u.test(character);
const isSpace = (character) => character === undefined || /\s/.test(character);

function inline(text, grows, depth = 0, inLink = false) {
  const nodes = [];
  const unclosed = new Set();
  let plain = "";
  const add = (...more) => {
    if (plain) nodes.push(plain);
    plain = "";
    nodes.push(...more);
  };
  let at = 0;
  while (at < text.length) {
    const rest = () => text.slice(at);
    const character = text[at];
    let match;
    if (character === "\\" && /[!-/:-@[-`{-~\n]/.test(text[at + 1] ?? "")) {
      if (text[at + 1] === "\n") add(["br", {}, []]);
      else plain += text[at + 1];
      at += 2;
    } else if (character === "\\" && grows && at + 1 === text.length) {
      break;
    } else if (character === "`") {
      const run = /^`+/.exec(rest())[0];
      const end = endOfCode(text, at + run.length, run);
      if (end < 0 && !grows) {
        plain += run;
        at += run.length;
      } else {
        const inner = end < 0 ? text.slice(at + run.length).replace(/`+$/, "") : text.slice(at + run.length, end);
        if (inner) add(["code", {}, [trimmedCode(inner)]]);
        at = end < 0 ? text.length : end + run.length;
      }
    } else if (!inLink && (character === "[" || (character === "!" && text[at + 1] === "["))) {
      const open = at + (character === "!" ? 1 : 0);
      const link = linkAt(text, open, grows, depth);
      if (link === null) {
        plain += text.slice(at, open + 1);
        at = open + 1;
      } else {
        add(...link.nodes);
        at = link.end;
      }
    } else if (character === "!" && grows && at + 1 === text.length) {
      // It may be an image, or the end of the sentence: that is known with the next character.
      break;
    } else if (character === "<" && (match = /^<((?:https?:\/\/|mailto:)[^\s<>]+)>/i.exec(rest()))) {
      add(anchor(match[1], [match[1]]));
      at += match[0].length;
    } else if (character === "<" && grows && /^<(?:[a-z][^\s<>]{0,300})?$/i.test(rest())) {
      break;
    } else if (character === "h" && !inLink && !isWord(text[at - 1]) && (match = /^https?:\/\/[^\s<>"'`|]+/.exec(rest()))) {
      const url = withoutPunctuation(match[0]);
      add(anchor(url, [url]));
      at += url.length;
    } else if (character === "&" && (match = /^&(#?\w{1,8});/.exec(rest())) && Object.hasOwn(ENTITIES, match[1])) {
      plain += ENTITIES[match[1]];
      at += match[0].length;
    } else if (character === "&" && grows && /^&#?\w{0,8}$/.test(rest())) {
      break;
    } else if ((match = /^(\*{3}|_{3})(?=[^\s*_])/.exec(rest())) && (match = both(text, at, match[1], grows))) {
      add(["strong", {}, [["em", {}, inline(match.inner, match.grows, depth + 1, inLink)]]]);
      at = match.end;
    } else if (character === "*" || character === "_" || (character === "~" && text[at + 1] === "~")) {
      const mark = text[at + 1] === character ? character.repeat(2) : character;
      const behind = at + mark.length;
      const opens = !isSpace(text[behind]) && !(character === "_" && isWord(text[at - 1])) && depth < DEEPEST;
      const end = !opens || unclosed.has(mark) ? -1 : endOfMark(text, behind, mark);
      if (end < 0) unclosed.add(mark);
      if (opens && (end >= 0 || grows)) {
        const inner = end < 0 ? withoutBeginningOf(mark, text.slice(behind)) : text.slice(behind, end);
        add([MARKS[mark], {}, inline(inner, end < 0, depth + 1, inLink)]);
        at = end < 0 ? text.length : end + mark.length;
      } else if (grows && behind >= text.length) {
        break;
      } else {
        plain += mark;
        at = behind;
      }
    } else if (character === "~" && grows && at + 1 === text.length) {
      break;
    } else if (character === "\n" && plain.endsWith("  ")) {
      plain = plain.trimEnd();
      add(["br", {}, []]);
      at += 1;
    } else {
      const usual = /^[^\\`[!<h&*_~\n]+/.exec(rest())?.[0] ?? character;
      plain += usual;
      at += usual.length;
    }
  }
  add();
  return nodes;
}

function endOfCode(text, at, run) {
  for (const match of text.slice(at).matchAll(/`+/g)) {
    if (match[0].length === run.length) return at + match.index;
  }
  return -1;
}

const trimmedCode = (code) => (/^ .*\S.* $/s.test(code) ? code.slice(1, -1) : code).replaceAll("\n", " ");

function endOfMark(text, at, mark) {
  for (let here = at; here < text.length; here += 1) {
    if (text[here] === "\\") here += 1;
    else if (text[here] === "`") {
      const run = /^`+/.exec(text.slice(here))[0];
      const end = endOfCode(text, here + run.length, run);
      here = (end < 0 ? here : end) + run.length - 1;
    } else if (text[here] === mark[0]) {
      let end = here;
      while (text[end] === mark[0]) end += 1;
      const length = end - here;
      const fits = mark.length === 2 ? length >= 2 : length !== 2;
      const closes = !isSpace(text[here - 1]) && !(mark[0] === "_" && isWord(text[end]));
      if (fits && closes && end - mark.length >= at) return length > 3 ? here : end - mark.length;
      here = end - 1;
    }
  }
  return -1;
}

// What stands between `***` and `***`; null if that is not what it is.
function both(text, at, mark, grows) {
  const begin = at + mark.length;
  const end = text.indexOf(mark, begin);
  if (end > begin && !isSpace(text[end - 1])) return { inner: text.slice(begin, end), end: end + mark.length, grows: false };
  const rest = text.slice(begin);
  const inner = rest.replace(/[*_]{1,2}$/, "");
  return grows && end < 0 && !inner.includes(mark[0]) ? { inner, end: text.length, grows } : null;
}

const withoutBeginningOf = (mark, text) => (mark.length === 2 && text.endsWith(mark[0]) ? text.slice(0, -1) : text);

function withoutPunctuation(url) {
  let end = url.length;
  while (/[.,;:!?*_~)\]]/.test(url[end - 1])) {
    if (url[end - 1] === ")" && url.slice(0, end).split("(").length >= url.slice(0, end).split(")").length) break;
    end -= 1;
  }
  return url.slice(0, end);
}

// A link at `[`, as far as it is there; null if it is none.
function linkAt(text, open, grows, depth) {
  let level = 0;
  let close = open;
  for (; close < text.length && close - open < 500; close += 1) {
    if (text[close] === "\\") close += 1;
    else if (text[close] === "[") level += 1;
    else if (text[close] === "]" && (level -= 1) === 0) break;
  }
  // Held back while it is not known what it is.
  if (close >= text.length - 1 && grows) return { nodes: [], end: text.length };
  if (text[close] !== "]" || text[close + 1] !== "(") return null;
  const label = inline(text.slice(open + 1, close), false, depth + 1, true);
  const target = /^\(\s*(?:<([^<>\n]*)>|((?:[^\s()]|\([^\s()]*\))*))(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/.exec(text.slice(close + 1));
  if (target) return { nodes: [anchor(target[1] ?? target[2], label)], end: close + 1 + target[0].length };
  return grows && /^\([^\n]{0,2000}$/.test(text.slice(close + 1)) ? { nodes: [["span", {}, label]], end: text.length } : null;
}

// An image is a link, too: to load it would tell its server that somebody reads this.
function anchor(address, children) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return ["span", {}, children];
  }
  if (!["http:", "https:", "mailto:"].includes(url.protocol)) return ["span", {}, children];
  return ["a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }, children];
}

// Into the page

export function patch(parent, children) {
  const wanted = children.filter((child) => child !== "" && child !== null);
  wanted.forEach((child, index) => {
    const there = parent.childNodes[index];
    if (typeof child === "string") {
      if (there?.nodeType !== Node.TEXT_NODE) parent.insertBefore(document.createTextNode(child), there ?? null);
      else if (child.startsWith(there.data)) there.appendData(child.slice(there.data.length));
      else there.data = child;
    } else {
      let element = there;
      if (there?.localName !== child[0]) {
        element = document.createElement(child[0]);
        if (there) there.replaceWith(element);
        else parent.append(element);
      }
      patchAttributes(element, child[1]);
      patch(element, child[2]);
    }
  });
  while (parent.childNodes.length > wanted.length) parent.lastChild.remove();
}

const given = new WeakMap();

function patchAttributes(element, attributes) {
  const before = given.get(element) ?? {};
  for (const name of Object.keys(before)) if (!(name in attributes)) element.removeAttribute(name);
  for (const [name, value] of Object.entries(attributes)) if (before[name] !== value) element.setAttribute(name, value);
  given.set(element, attributes);
}
