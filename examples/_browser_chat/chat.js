// The page of one chat: shows its turns one after the other, and follows the one that is being answered.
//
// Everything shown comes from the log of the server, also what was asked in this tab. So a reload, a second tab and a
// connection that was lost are one case: go on behind the last event that is known.

import { patch, render } from "./markdown.js";

const SILENT_MS = 45000; // the server says something every 15 seconds
const LONGEST_WAIT_MS = 5000;
const REVIVALS = 3;

const find = (selector) => document.querySelector(selector);
const [turns, empty, form, input, sendButton, stopButton, jump, problem, status] = [
  "#turns", "#empty", "form", "#question", "#send", "#stop", "#jump", "#problem", "#status",
].map(find);

const chat = chatOfAddress();
const shown = [];
let current = null; // the turn that is being answered
let isAsking = false; // whether a question is on its way to the server
let wake = new AbortController(); // ends the waiting for the next question

function chatOfAddress() {
  const known = /^\/c\/([0-9A-Za-z-]{8,64})$/.exec(location.pathname)?.[1];
  if (known) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const made = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  history.replaceState(null, "", `/c/${made}`);
  return made;
}

// What an answer is made of

class Turn {
  constructor(number, { question, again }) {
    Object.assign(this, { number, question, again, parts: [], position: "", end: null, notice: "" });
    this.element = turns.appendChild(document.createElement("section"));
    this.drawing = null;
    this.cost = 0;
  }

  take(event) {
    const add = (kind) => {
      let last = this.parts.at(-1);
      if (last?.kind !== kind || last.round !== event.round) this.parts.push((last = { kind, round: event.round, text: "" }));
      last.text += event.text;
    };
    const call = (state, id, name) => this.parts.find((part) =>
      part.kind === "tool" && part.round === event.round && part.state === state && (id ? part.id === id : part.name === name));
    if (event.type === "several") event.events.forEach((each) => this.take(each));
    else if (event.type === "text" || event.type === "reasoning") add(event.type);
    else if (event.type === "restarted") this.parts = this.parts.filter((part) => part.round < event.round);
    else if (event.type === "completed") this.reason = event.completion.choices[0]?.finish_reason;
    else if (event.type === "end") this.end = event;
    else if (event.type === "tool_input") {
      let part = this.parts.find((each) => each.kind === "tool" && each.round === event.round && each.index === event.index);
      if (!part) this.parts.push((part = { kind: "tool", round: event.round, index: event.index, state: "writing", input: "" }));
      Object.assign(part, { id: event.id ?? part.id, name: event.name ?? part.name, input: part.input + event.text });
    } else if (event.type === "tool_call") {
      const { id, function: { name, arguments: input } } = event.call;
      let part = call("writing", id, name);
      if (!part) this.parts.push((part = { kind: "tool", round: event.round }));
      Object.assign(part, { id, name, input, state: "running", began: performance.now() });
    } else if (event.type === "tool_result") {
      const { call: { id, function: { name } }, content, error } = event.result;
      const part = call("running", id, name);
      if (part) Object.assign(part, { output: content, state: error ? "failed" : "done", took: performance.now() - part.began });
    }
  }

  // Soon, and no more often than drawing it is cheap.
  draw() {
    if (this.drawing) return;
    const now = () => {
      if (this.drawing === now) this.drawNow();
    };
    this.drawing = now;
    // A tab in the background gets no frames, so there is a timer in any case.
    const isCheap = this.cost < 8;
    if (isCheap) requestAnimationFrame(now);
    setTimeout(now, isCheap ? 200 : Math.min(this.cost * 8, 1000));
  }

  drawNow() {
    this.drawing = null;
    const began = performance.now();
    keepingTheEnd(() => patch(this.element, view(this)));
    this.cost = performance.now() - began;
  }
}

// How it looks

function view(turn) {
  const live = turn.end === null;
  const answer = turn.parts.map((part, index) => viewOf(part, live && index === turn.parts.length - 1)).filter(Boolean);
  return [
    ["h2", { class: "unseen" }, ["Question"]],
    ["div", { class: "question" }, [["div", { class: "bubble" }, [turn.question]]]],
    ["h2", { class: "unseen" }, ["Answer"]],
    ["div", { class: "answer", "data-role": "assistant", "aria-busy": String(live) }, answer],
    ["div", { class: "behind" }, behind(turn, live)],
  ];
}

function viewOf(part, grows) {
  if (part.kind === "text") return ["div", { class: "text" }, render(part.text, !grows)];
  if (part.kind === "reasoning") {
    const summary = ["summary", { class: grows ? "lively" : "" }, ["Reasoning"]];
    return ["details", { class: "reasoning" }, [summary, ["div", { class: "text" }, render(part.text, !grows)]]];
  }
  const words = { writing: "writing", running: "running", done: "done", failed: "failed" };
  const summary = ["summary", {}, [
    ["span", { class: "dot" }, []],
    ["span", { class: "name" }, [part.name ?? ""]],
    ["span", { class: "input" }, [short(part.input)]],
    ["span", { class: "state", "data-state": words[part.state], "data-time": timeOf(part) }, []],
  ]];
  const inner = [["h3", {}, ["Input"]], ["pre", { tabindex: "0" }, [pretty(part.input)]]];
  if (part.output !== undefined) inner.push(["h3", {}, ["Result"]], ["pre", { tabindex: "0" }, [pretty(part.output)]]);
  return ["details", { class: `tool ${part.state}` }, [summary, ["div", { class: "inside" }, inner]]];
}

// The time is known where the run was seen, and not where it is read from the log.
function timeOf(part) {
  const ms = part.state === "running" ? performance.now() - part.began : part.took;
  return ms > 50 ? `${(ms / 1000).toFixed(1)} s` : "";
}

function short(input) {
  try {
    const value = JSON.parse(input);
    return Object.entries(value).map(([key, each]) => `${key}: ${typeof each === "string" ? each : JSON.stringify(each)}`).join(", ").slice(0, 200);
  } catch {
    return input.slice(-200);
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function behind(turn, live) {
  if (live) {
    // Reasoning and tools at work have a sign of their own.
    const isAtWork = (part) => part.state === "writing" || part.state === "running";
    const isSaid = !turn.notice && (turn.parts.at(-1)?.kind === "reasoning" || turn.parts.some(isAtWork));
    return isSaid ? [] : [["p", { class: "waiting" }, [turn.notice]]];
  }
  const isLast = turn === shown.at(-1);
  const again = (label) => (isLast ? [["button", { type: "button", class: "again" }, [label]]] : []);
  if (turn.end.ending === "failed") {
    const message = turn.end.error?.message ?? "The answer failed.";
    return [["div", { class: "notice error", role: "alert" }, [["p", {}, [message]], ...again("Try again")]]];
  }
  if (turn.end.ending === "stopped") return [["div", { class: "notice" }, [["p", {}, ["Stopped."]], ...again("Ask again")]]];
  const isCut = ["length", "max_tokens", "max_output_tokens", "content_filter", "refusal"].includes(turn.reason);
  return isCut ? [["div", { class: "notice" }, [["p", {}, [`Not all of it: the model ended with “${turn.reason}”.`]]]]] : [];
}

// The end stays in view unless the reader has scrolled up.

let sticks = true;
let lastTop = 0;
const page = document.documentElement;
const fromEnd = () => page.scrollHeight - page.clientHeight - window.scrollY;

function keepingTheEnd(change) {
  change();
  if (!sticks) return void (jump.hidden = fromEnd() < 80);
  window.scrollTo({ top: page.scrollHeight, behavior: "instant" });
  lastTop = window.scrollY;
}

addEventListener("scroll", () => {
  if (window.scrollY < lastTop - 2 && fromEnd() > 4) sticks = false;
  if (fromEnd() < 24) sticks = true;
  lastTop = window.scrollY;
  jump.hidden = sticks || fromEnd() < 80;
}, { passive: true });

addEventListener("resize", () => keepingTheEnd(() => {}));

jump.addEventListener("click", () => {
  sticks = true;
  jump.hidden = true;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  window.scrollTo({ top: page.scrollHeight, behavior: calm ? "instant" : "smooth" });
  input.focus({ preventScroll: true });
});

// From the server

const pause = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", () => resolve(clearTimeout(timer)));
  addEventListener("online", resolve, { once: true });
});
const waiting = (tries) => Math.min(250 * 2 ** tries, LONGEST_WAIT_MS) * (0.75 + Math.random() / 2);
const address = (number, rest = "") => `/api/${chat}/${number}${rest}`;
const post = (url, body) => fetch(url, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}),
});

// The events of an event stream as [id, event]. EventSource would do, but it does not tell why a server refuses.
async function* events(url) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENT_MS);
  try {
    const response = await fetch(url, { signal: silence.signal });
    if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
      if (response.status === 204) yield ["", { type: "end", ending: "completed" }];
      else yield ["", await response.json()]; // an error before the first event
      return;
    }
    let [text, id, data] = ["", "", ""];
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let read; !(read = await reader.read()).done; ) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENT_MS);
      const lines = (text + read.value).split("\n");
      text = lines.pop();
      for (const line of lines) {
        if (line.startsWith("id: ")) id = line.slice(4);
        else if (line.startsWith("data: ")) data += line.slice(6);
        else if (line === "" && data) {
          yield [id, JSON.parse(data)];
          data = "";
        }
      }
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

// Waits until the question of a turn is asked, here or elsewhere.
async function asked(number) {
  let wait = "";
  for (let tries = 0; ; ) {
    try {
      wake = new AbortController();
      const response = await fetch(address(number, wait), { signal: wake.signal });
      if (response.status === 200) return await response.json();
      if (response.status !== 204) throw new Error(response.statusText);
      tries = 0;
      wait = "?wait";
      if (number === 0) empty.hidden = false;
      if (!isAsking) setState("idle");
    } catch {
      const wasWoken = wake.signal.aborted;
      wait = "";
      if (!wasWoken) await pause(waiting((tries += 1)));
    }
  }
}

// Follows an answer to its end, whatever happens to connections and servers.
async function follow(turn) {
  let revived = 0;
  let isLast = false;
  for (let tries = 0; ; tries += 1) {
    let error = null;
    try {
      for await (const [id, event] of events(address(turn.number, `/answer${turn.position ? `?after=${turn.position}` : ""}`))) {
        if (event.type === "end") {
          if (event.ending !== "failed") return turn.take(event);
          error = event;
          break;
        }
        [turn.position, tries, turn.notice] = [id, 0, ""];
        turn.take(event);
        turn.draw();
      }
    } catch {
      // The connection is gone, or the server is.
    }
    const code = error?.error?.code;
    if (code === "interrupted" || code === "unknown_stream") {
      // Whoever produced the answer is dead, or never began. Unless somebody does already, this server begins anew.
      if (isLast || revived >= REVIVALS) return turn.take(error);
      if (code === "interrupted") say(turn, "The server that was answering is gone. Another one begins again …");
      await pause(300 * (revived += 1));
      // If it has ended meanwhile, the rest of it is there; if that is the same error again, it is one.
      isLast = await post(address(turn.number, "/answer")).then(async (response) => response.status === 409 && (await response.json()).ended, () => false);
    } else if (code === "bad_position") {
      [turn.parts, turn.position] = [[], ""];
      await pause(waiting(tries));
    } else if (error !== null && code !== "unavailable" && code !== "closing") {
      return turn.take(error);
    } else {
      if (tries > 0) say(turn, "The connection is lost. Trying again …");
      await pause(waiting(tries));
    }
  }
}

function say(turn, notice) {
  turn.notice = notice;
  turn.draw();
}

async function showAll() {
  for (let number = 0; ; number += 1) {
    const question = await asked(number);
    const turn = new Turn(number, question);
    empty.hidden = true;
    if (number === 0) document.title = `${question.question.slice(0, 60)} – rxllm chat`;
    for (const other of shown) {
      if (other.number === question.again) other.element.remove();
      else other.draw();
    }
    shown.push(turn);
    current = turn;
    setState("answering");
    turn.draw();
    await follow(turn);
    turn.drawNow();
    current = null;
    status.textContent = { completed: "The answer is complete.", stopped: "Stopped." }[turn.end.ending] ?? "";
  }
}

setInterval(() => {
  if (current?.parts.some((part) => part.state === "running")) current.draw();
}, 200);

// To the server

function setState(state) {
  document.body.dataset.state = state;
  const answers = state === "answering";
  if (answers) status.textContent = "The answer begins.";
  const hadFocus = document.activeElement === sendButton || document.activeElement === stopButton;
  sendButton.hidden = answers;
  stopButton.hidden = !answers;
  stopButton.disabled = false;
  if (hadFocus) input.focus({ preventScroll: true });
  fit();
}

function fit() {
  input.style.height = "auto";
  input.style.height = `${input.scrollHeight}px`;
  sendButton.disabled = document.body.dataset.state !== "idle" || !input.value.trim();
}

async function ask(question, again = null) {
  if (document.body.dataset.state !== "idle" || !question.trim()) return;
  document.body.dataset.state = "asking";
  isAsking = sticks = true;
  problem.textContent = "";
  fit();
  const typed = input.value;
  try {
    const response = await post(address((shown.at(-1)?.number ?? -1) + 1), { question: question.trim(), again });
    if (response.status === 409) problem.textContent = "Something else was asked first, in another tab.";
    else if (!response.ok) throw new Error(response.statusText);
    else if (again === null && input.value === typed) input.value = "";
  } catch {
    problem.textContent = "The question could not be sent. Try again.";
  }
  isAsking = false;
  if (problem.textContent && current === null) setState("idle");
  // The turn is in the log, and begins where all turns do: in showAll.
  wake.abort();
}

function stop() {
  if (current === null || stopButton.disabled) return;
  stopButton.disabled = true;
  post(address(current.number, "/stop")).catch(() => (stopButton.disabled = false));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask(input.value);
});
stopButton.addEventListener("click", stop);
input.addEventListener("input", fit);
addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
  else if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target === input) {
    event.preventDefault();
    ask(input.value);
  }
});
empty.addEventListener("click", (event) => {
  if (event.target.localName === "button") ask(event.target.textContent);
});
turns.addEventListener("click", async ({ target }) => {
  if (target.matches(".again")) {
    const turn = shown.at(-1);
    ask(turn.question, turn.number);
  } else if (target.matches(".copy")) {
    await navigator.clipboard.writeText(target.closest(".code").querySelector("code").textContent);
    target.classList.add("copied");
    status.textContent = "Copied.";
    setTimeout(() => target.classList.remove("copied"), 1500);
  }
});

showAll();
