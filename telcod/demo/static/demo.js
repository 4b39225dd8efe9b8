// The demo's page: draws what telcod's side says over server-sent events, sends what is pressed.
// No framework; nothing is written as HTML, only as text.
"use strict";
(() => {
  const words = JSON.parse(document.body.dataset.words);
  const vi = document.body.dataset.language === "vi";
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const say = (key, values = {}) =>
    (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
  const dong = (amount) =>
    new Intl.NumberFormat(vi ? "vi-VN" : "en-GB").format(amount) + "\u00a0₫";
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  // As in the texts: the time of Viet Nam, wherever the browser is.
  const timeOf = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Ho_Chi_Minh", timeStyle: "medium" });
  const time = (ms) => timeOf.format(ms);
  const national = (number) => number.replace(/^84(?=\d{9}$)/, "0");
  const el = (name, className = "", text = "") => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text) made.textContent = text;
    return made;
  };
  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  const wide = matchMedia("(min-width: 64rem)");
  const STORY_MAX = 300;

  // -- the phones

  const phones = {};

  class Phone {
    constructor(section) {
      this.section = section;
      this.name = section.dataset.phone;
      this.view = null;
      this.peer = "1566";
      this.seen = 0;
      this.talkFrom = 0;
      this.tab = $(`#tab-${this.name}`);
      section.addEventListener("click", (event) => this.click(event));
      $(".compose", section).addEventListener("submit", (event) => this.text(event));
      $(".dialler", section).addEventListener("submit", (event) => this.dial(event));
      $(".screen", section).addEventListener("submit", (event) => this.reply(event));
    }

    async ask(path, body) {
      put($(".trouble", this.section), "");
      let code = "other";
      try {
        const answer = await fetch(`/phones/${this.name}/${path}`, {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(body ?? {}),
        });
        if (answer.ok) return true;
        if (answer.status === 409) code = (await answer.json()).code;
      } catch { /* said below */ }
      const word = `trouble.${code}`;
      put($(".trouble", this.section), say(word in words ? word : "trouble.other"));
      return false;
    }

    click(event) {
      const button = event.target.closest("button");
      if (!button) return;
      const data = button.dataset;
      if (data.app) this.app(data.app);
      else if (data.peer) this.thread(data.peer);
      else if (data.digit) this.digit(data.digit);
      else if (data.act) this.ask("call", { what: data.act });
      else if (button.classList.contains("erase")) this.erase();
      else if (button.classList.contains("close")) this.ask("screen/close");
    }

    app(name) {
      for (const tab of $$("[data-app]", this.section)) {
        const on = tab.dataset.app === name;
        tab.setAttribute("aria-selected", on);
        $(`#${tab.dataset.app}-${this.name}`).hidden = !on;
      }
      this.drawTexts();
    }

    thread(peer) {
      this.peer = peer;
      this.drawTexts();
    }

    digit(digit) {
      const field = $(".number-in", this.section);
      field.value += digit;
    }

    erase() {
      const field = $(".number-in", this.section);
      field.value = field.value.slice(0, -1);
      field.focus();
    }

    async text(event) {
      event.preventDefault();
      const field = $(".text", this.section);
      const text = field.value;
      field.value = "";
      $(".send", this.section).classList.remove("next");
      if (!(await this.ask("text", { to: this.peer, text }))) field.value = text;
      field.focus();
    }

    async dial(event) {
      event.preventDefault();
      const field = $(".number-in", this.section);
      $(".go", this.section).classList.remove("next");
      if (await this.ask("dial", { number: field.value.replace(/[^0-9*#+]/g, "") })) field.value = "";
    }

    async reply(event) {
      event.preventDefault();
      const field = $(".typed", this.section);
      const text = field.value;
      field.value = "";
      await this.ask("screen", { text });
    }

    draw(view) {
      const before = this.view;
      this.view = view;
      this.talkFrom = performance.now() - 1000 * (view.call?.talk_s ?? 0);
      this.drawTexts();
      this.drawScreen(before);
      this.drawCall();
      const last = view.bubbles.at(-1)?.id ?? 0;
      const rings = view.call && ["ringing", "question"].includes(view.call.stage) && view.call.role === "payer";
      const news = before && (last > this.seen && view.bubbles.at(-1)?.way === "in" || (view.screen && !before.screen) || rings);
      if (news && this.hiddenNow()) $(".dot", this.tab).hidden = false;
      this.tab.classList.toggle("rings", Boolean(rings));
      this.seen = last;
    }

    hiddenNow() { return getComputedStyle(this.section).display === "none"; }

    peers() {
      const others = this.view.bubbles.map((bubble) => bubble.peer);
      return [...new Set(["1566", "9223", ...others, this.peer])];
    }

    drawTexts() {
      if (!this.view) return;
      const bar = $(".threads", this.section);
      const made = this.peers().map((peer) => {
        const button = el("button", "thread", this.label(peer));
        button.type = "button";
        button.dataset.peer = peer;
        button.setAttribute("aria-pressed", peer === this.peer);
        return button;
      });
      bar.replaceChildren(...made);
      const list = $(".bubbles", this.section);
      const shown = this.view.bubbles.filter((bubble) => bubble.peer === this.peer);
      if (!shown.length) {
        list.replaceChildren(el("li", "none", say("bubbles.none", { peer: this.label(this.peer) })));
        return;
      }
      const drawn = new Map($$("li[data-id]", list).map((item) => [item.dataset.id, item]));
      const items = shown.map((bubble) => {
        const old = drawn.get(String(bubble.id));
        const item = old ?? el("li", `bubble ${bubble.way}`);
        if (!old) {
          item.dataset.id = bubble.id;
          item.append(el("p", "", bubble.text), el("small", ""));
        }
        item.classList.toggle("refused", bubble.fate === "refused");
        const at = time(bubble.at_ms).slice(0, 5);
        put($("small", item), bubble.way === "out" ? `${at} · ${say(`bubble.${bubble.fate}`)}` : at);
        return item;
      });
      list.replaceChildren(...items);
      list.scrollTop = list.scrollHeight;
    }

    label(peer) {
      const number = peer.startsWith("1566") && peer.length > 4 ? peer.slice(4) : peer;
      const known = Object.values(phones).find((phone) => national(number) === phone.section.dataset.number);
      return known ? `${peer.length > 12 ? "1566 + " : ""}${known.name}` : national(peer);
    }

    party(peer) {
      const number = national(peer);
      const known = Object.values(phones).find((phone) => number.endsWith(phone.section.dataset.number));
      return known ? `${known.name} · ${number}` : number;
    }

    drawScreen(before) {
      const box = $(".ussd", this.section);
      const screen = this.view.screen;
      box.hidden = !screen;
      if (!screen) return;
      put($(".words", box), screen.problem ? say("ussd.problem", { text: screen.text }) : screen.text);
      $(".pushed", box).hidden = !screen.pushed;
      put($(".pushed", box), say(screen.asks ? "ussd.pushed" : "ussd.notice"));
      $(".typing", box).hidden = !screen.asks;
      $(".reply", box).hidden = !screen.asks;
      // What arrives by itself must not take the keys from what is being typed elsewhere.
      if (screen.asks && !screen.pushed && (!before?.screen || before.screen.text !== screen.text)) $(".typed", box).focus();
    }

    drawCall() {
      const box = $(".over.call", this.section);
      const call = this.view.call;
      box.hidden = !call;
      if (!call) return;
      box.dataset.stage = call.stage;
      put($(".peer", box), say(`role.${call.role}`, { peer: this.party(call.peer) }));
      const word = `stage.${call.stage}.${call.role}`;
      put($(".stage-word", box), say(word in words ? word : `stage.${call.stage}`));
      put($(".says", box), call.says || (call.why ? say(`why.${call.why}`) : ""));
      const talked = call.stage === "talking" || (call.stage === "over" && call.talk_s > 0);
      $(".clock", box).hidden = !talked;
      put($(".limit", box), call.stage === "talking" ? say("call.limit", { time: clock(call.max_s) }) : "");
      put($(".charge", box), this.charge(call));
      const asked = $(".pad", box);
      asked.hidden = call.stage !== "question";
      if (asked.dataset.keys !== call.keys) {
        asked.dataset.keys = call.keys;
        asked.replaceChildren(...[..."123456789*0#"].map((key) => this.key(key, call.keys.includes(key))));
      }
      this.drawEnds(call);
      this.tick();
    }

    key(key, offered) {
      const button = el("button", offered ? "key offered" : "key", key);
      button.type = "button";
      button.dataset.act = key;
      return button;
    }

    charge(call) {
      if (call.stage !== "over" || call.charged_vnd < 0) return "";
      if (!call.charged_vnd) return say("call.free");
      return say("call.charged", { amount: dong(call.charged_vnd), seconds: call.billed_s });
    }

    drawEnds(call) {
      const ends = [];
      const add = (word, act, style) => {
        const button = el("button", style, say(word));
        button.type = "button";
        button.dataset.act = act;
        ends.push(button);
      };
      if (call.stage === "ringing" && call.role === "payer") {
        add("call.reject", "hangup", "bad");
        add("call.answer", "answer", "good");
      } else if (call.stage === "over") add("call.done", "hangup", "quiet");
      else {
        if (call.stage === "talking") add("call.leap", "leap", "quiet");
        add("call.hang_up", "hangup", "bad");
      }
      const line = $(".ends", this.section);
      const wanted = ends.map((button) => `${button.dataset.act} ${button.textContent}`).join("|");
      if (line.dataset.has === wanted) return; // a button under the finger stays the same one
      line.dataset.has = wanted;
      line.replaceChildren(...ends);
    }

    tick() {
      const call = this.view?.call;
      if (!call) return;
      const running = call.stage === "talking";
      const seconds = running ? Math.floor((performance.now() - this.talkFrom) / 1000) : call.talk_s;
      put($(".clock", this.section), clock(Math.min(seconds, call.max_s || seconds)));
    }

    prepare(app, value, peer = "1566") {
      show(this.name);
      this.app(app);
      if (app === "texts") this.thread(peer);
      const field = $(app === "texts" ? ".text" : ".number-in", this.section);
      field.value = value;
      $(app === "texts" ? ".send" : ".go", this.section).classList.add("next");
      // On a phone a focused field would bring up the keyboard, over the button to press.
      if (wide.matches) field.focus({ preventScroll: true });
      else this.section.scrollIntoView({ block: "start" });
    }

    purse(purse) {
      const owes = purse.kind === "postpaid" && purse.posted_vnd < 0;
      put($(".balance", this.section), owes ? say("owes", { amount: dong(-purse.posted_vnd) }) : dong(purse.posted_vnd));
      const parts = purse.package ? [say(`package.${purse.package}`)] : [];
      if (purse.package && purse.trial) parts.push(say("package.trial"));
      put($(".package", this.section), parts.join(" · "));
    }
  }

  // -- which phones are seen: A beside B or C, or one thing at a time on a small screen

  let shown = "A";
  let second = "B";
  function show(name) {
    shown = name;
    if (name !== "A" && name !== "live") second = name;
    drawTabs();
  }
  function drawTabs() {
    for (const tab of $$("#tabs [data-tab]")) {
      const name = tab.dataset.tab;
      const on = wide.matches ? name === "A" || name === "live" || name === second : name === shown;
      tab.setAttribute("aria-selected", on);
      document.getElementById(tab.getAttribute("aria-controls")).classList.toggle("away", !on);
      if (on) $(".dot", tab).hidden = true;
    }
    Object.values(phones).forEach((phone) => phone.drawTexts());
  }

  // -- what telcod did, and the books

  const story = $("#story");
  const phoneOf = (number) =>
    Object.values(phones).find((phone) => phone.section.dataset.number === national(number))?.name;
  function account(name) {
    const [kind, of] = name.split(":");
    if (kind === "main" || kind === "debt") return say(`account.${kind}`, { phone: phoneOf(of) ?? national(of) });
    if (kind === "transit") return say("account.transit");
    return say(`account.${name}`);
  }
  function line(told) {
    const item = el("li", `told of-${told.kind}`);
    const head = el("p", "told-head");
    head.append(el("span", "kind", say(`line.${told.kind}`)));
    if (told.who) head.append(el("span", "who", phoneOf(told.who) ?? national(told.who)));
    const at = el("time", "", time(told.at_ms));
    if (told.kind === "entry") {
      head.append(el("span", "what", `${account(told.what)} → ${account(told.came)}`), el("strong", "money", dong(told.amount_vnd)), at);
      item.append(head, el("p", "came code", told.note));
    } else {
      const what = told.kind === "call" ? `→ ${phoneOf(told.what) ?? national(told.what)}` : told.what.replace("token:demo-", "");
      head.append(el("span", "what", what));
      if (told.amount_vnd) head.append(el("strong", "money", dong(told.amount_vnd)));
      head.append(at);
      item.append(head, el("p", "came code", `${told.note || ""} → ${told.came}`.trim()));
    }
    return item;
  }
  function tell(lines) {
    if (!lines.length) return;
    $("#empty").hidden = true;
    for (const told of lines) story.prepend(line(told));
    while (story.children.length > STORY_MAX) story.lastChild.remove();
    const tab = $("#tab-live");
    if (tab.getAttribute("aria-selected") !== "true") $(".dot", tab).hidden = false;
  }
  const last = {};
  function books(now) {
    const rows = now.purses.map((purse) => [say(`purse.${purse.kind}`, purse), purse.posted_vnd, purse.held_vnd, purse.phone, purse.kind === "postpaid"]);
    rows.push(...now.own.map((own) => [account(own.account), own.posted_vnd, 0, "", false]));
    $("#books").replaceChildren(...rows.map(([name, posted, held, phone, bill]) => {
      const row = el("tr", last[name] !== undefined && last[name] !== posted ? "moved" : "");
      last[name] = posted;
      const head = el("th", "", name);
      head.scope = "row";
      const shown = bill && posted < 0 ? say("owes", { amount: dong(-posted) }) : dong(posted);
      row.append(head, el("td", "money", shown), el("td", "money", held ? dong(held) : "–"));
      if (phone) row.dataset.purse = phone;
      return row;
    }));
    now.purses.forEach((purse) => phones[purse.phone]?.purse(purse));
  }

  // -- what to try

  const number = (name) => phones[name].section.dataset.number;
  const tries = {
    1: () => phones.A.prepare("dial", number("B")),
    2: () => phones.A.prepare("dial", `1566${number("B")}`),
    3: () => phones.A.prepare("texts", "Goi lai cho minh nhe", `1566${number("B")}`),
    4: () => phones.A.prepare("dial", "*1566#"),
    5: () => phones.B.prepare("texts", "DK7"),
    6: () => phones.B.prepare("texts", `W ${number("A")}`),
    7: () => phones.C.prepare("texts", `MK ${document.body.dataset.password}`, "9223"),
  };

  function start() {
    for (const section of $$(".phone")) phones[section.dataset.phone] = new Phone(section);
    $("#tabs").addEventListener("click", (event) => {
      const tab = event.target.closest("[data-tab]");
      if (tab) show(tab.dataset.tab);
    });
    $("#tries").addEventListener("click", (event) => {
      const button = event.target.closest("[data-try]");
      if (!button) return;
      $$(".next").forEach((each) => each.classList.remove("next"));
      $$(".try").forEach((each) => each.setAttribute("aria-pressed", each === button));
      tries[button.dataset.try]();
      put($("#try-hint"), say(`try.${button.dataset.try}.do`, { password: document.body.dataset.password, number: number("C") }));
    });
    document.addEventListener("click", (event) => {
      const button = event.target.closest("[data-copy]");
      if (!button) return;
      const field = document.getElementById(button.dataset.copy);
      field.select();
      navigator.clipboard?.writeText(field.value).then(() => put(button, say("copied")), () => {});
    });
    wide.addEventListener("change", drawTabs);
    drawTabs();
    setInterval(() => Object.values(phones).forEach((phone) => phone.tick()), 250);
    listen();
  }

  function listen() {
    const source = new EventSource("/events");
    const state = (name) => {
      document.body.dataset.state = name;
      put($("#state"), say(`state.${name}`));
    };
    source.addEventListener("open", () => state("live"));
    source.addEventListener("error", () => {
      state("lost");
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
    });
    source.addEventListener("everything", (event) => {
      const all = JSON.parse(event.data);
      all.phones.forEach((view) => phones[view.name].draw(view));
      story.replaceChildren();
      tell(all.lines);
      books(all.books);
    });
    source.addEventListener("phone", (event) => {
      const view = JSON.parse(event.data);
      phones[view.name].draw(view);
    });
    source.addEventListener("story", (event) => tell(JSON.parse(event.data)));
    source.addEventListener("books", (event) => books(JSON.parse(event.data)));
  }

  start();
})();
