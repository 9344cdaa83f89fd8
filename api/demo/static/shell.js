/* The frame of every page behind the login: requests, user menu, row height, and the notice. */
(() => {
  "use strict";
  const portal = { pending: 0 };
  window.portal = portal;

  // What Angular tells its test tools: false while a request or a timer of the page is under way.
  window.getAllAngularTestabilities = () => [{ isStable: () => portal.pending === 0 }];

  const bar = document.querySelector("mat-progress-bar");
  portal.busy = (change) => {
    portal.pending += change;
    if (bar) bar.hidden = portal.pending === 0;
  };

  portal.get = async (path) => {
    portal.busy(1);
    try {
      const answer = await fetch(path, { headers: { Accept: "application/json" } });
      if (answer.status === 401) {
        location.assign(`/login?returnUrl=${encodeURIComponent(location.pathname)}`);
        return await new Promise(() => {}); // the page is leaving
      }
      if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
      return await answer.json();
    } finally {
      portal.busy(-1);
    }
  };

  const snack = document.querySelector(".mat-snack-bar-container");
  portal.say = (text) => {
    snack.textContent = text;
    snack.hidden = !text;
  };

  portal.element = (tag, className, ...children) => {
    const made = document.createElement(tag);
    made.className = className;
    made.append(...children);
    return made;
  };

  const user = document.querySelector(".user-menu");
  const panel = document.querySelector(".mat-menu-panel");
  user.addEventListener("click", () => {
    panel.hidden = !panel.hidden;
    user.setAttribute("aria-expanded", String(!panel.hidden));
  });

  // The row height is this browser's preference, whoever logs in.
  const show = () => {
    document.body.classList.toggle("compact", localStorage.getItem("row-height") === "compact");
  };
  document.querySelector(".density-toggle").addEventListener("click", () => {
    const compact = document.body.classList.contains("compact");
    localStorage.setItem("row-height", compact ? "comfortable" : "compact");
    show();
  });
  if (localStorage.getItem("row-height") === null) {
    localStorage.setItem("row-height", "comfortable");
  }
  show();

  // Each login is nagged in each tab until the alert has been seen.
  const login = document.body.dataset.login;
  if (sessionStorage.getItem("noticed-login") !== login) {
    const nag = () => window.open("/notice", "terminal-notice", "width=460,height=340");
    if (!nag()) document.addEventListener("click", nag, { once: true });
    setTimeout(() => {
      alert("Gate hours change on Monday. Please review your appointments.");
      sessionStorage.setItem("noticed-login", login);
    }, 400);
  }
})();
