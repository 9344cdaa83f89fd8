/* The appointments: one short table. */
(() => {
  "use strict";
  const { portal } = window;
  const { element } = portal;
  const body = document.querySelector("#searchres tbody");

  async function load() {
    try {
      const { rows } = await portal.get("/api/appointments");
      body.append(...rows.map((row) => element("tr", "mat-row element-row",
        ...[row.number, row.id, row.move, row.terminal, row.window].map(
          (text) => element("td", "mat-cell", text)))));
    } catch (error) {
      portal.say(`Appointments could not be loaded. ${error.message}`);
    }
  }
  load();
})();
