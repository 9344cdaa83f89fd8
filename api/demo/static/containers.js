/* The container table: more rows as it scrolls, details as a row expands. */
(() => {
  "use strict";
  const { portal } = window;
  const { element } = portal;
  const SCROLL_PAUSE_MS = 100;
  const EXPAND_MS = 300;
  const scroller = document.getElementById("searchres");
  const body = scroller.querySelector("tbody");
  const count = document.querySelector(".count");
  let loaded = 0;
  let more = true;
  let loading = false;
  let timer = 0;

  const cell = (name, ...children) => element("td", `mat-cell mat-column-${name}`, ...children);

  function icon(name) {
    const made = element("mat-icon", "mat-icon", name);
    made.dataset.matIconName = name;
    return made;
  }

  function draw(row) {
    const arrow = element("button", "mat-icon-button expand-toggle", icon("keyboard_arrow_right"));
    arrow.type = "button";
    arrow.setAttribute("aria-label", `Details of ${row.id}`);
    arrow.setAttribute("aria-expanded", "false");
    const trade = element("span", `chip ${row.trade.toLowerCase()}`, row.trade);
    const line = element("tr", "mat-row element-row",
      cell("expand", arrow),
      cell("container", element("span", "container-number", row.id)),
      cell("trade", trade),
      cell("line", row.line),
      cell("size", row.size),
      cell("terminal", row.terminal),
      cell("status", row.status));
    line.addEventListener("click", () => toggle(line, arrow, row.id));
    return line;
  }

  function toggle(line, arrow, id) {
    const open = !line.classList.contains("expanded");
    line.classList.toggle("expanded", open);
    arrow.setAttribute("aria-expanded", String(open));
    arrow.replaceChildren(icon(open ? "keyboard_arrow_down" : "keyboard_arrow_right"));
    if (!open) {
      line.nextElementSibling.remove();
      return;
    }
    const box = element("div", "element-detail", element("mat-spinner", "mat-spinner"));
    const under = element("td", "mat-cell", box);
    under.colSpan = line.cells.length;
    line.after(element("tr", "mat-row detail-row", under));
    portal.busy(1);
    setTimeout(() => {
      portal.busy(-1);
      if (box.isConnected) fill(box, id);
    }, EXPAND_MS);
  }

  async function fill(box, id) {
    try {
      const { fields } = await portal.get(`/api/containers/${encodeURIComponent(id)}`);
      box.replaceChildren(...fields.map(([label, value]) => element("div", "field",
        element("div", "field-label", label), element("div", "field-data", value))));
    } catch (error) {
      box.replaceChildren(element("p", "field-error", "Details could not be loaded."));
      portal.say(`Details could not be loaded. ${error.message}`);
    }
  }

  async function load() {
    if (loading || !more) return;
    loading = true;
    try {
      const page = await portal.get(`/api/containers?skip=${loaded}`);
      body.append(...page.rows.map(draw));
      loaded += page.rows.length;
      more = page.more;
      count.textContent = more ? `${loaded} shown, scroll for more` : `${loaded} in all`;
      portal.say("");
    } catch (error) {
      portal.say(`Containers could not be loaded. ${error.message}`);
      return;
    } finally {
      loading = false;
    }
    if (scroller.scrollHeight <= scroller.clientHeight) await load();
  }

  scroller.addEventListener("scroll", () => {
    if (timer) return;
    portal.busy(1);
    timer = setTimeout(() => {
      timer = 0;
      portal.busy(-1);
      const left = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
      if (left < 120) load();
    }, SCROLL_PAUSE_MS);
  });
  load();
})();
