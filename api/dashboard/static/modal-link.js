// <modal-link> around a link: opens the linked page's [data-modal] part in a <dialog> of this page.
// A form in it is sent from there; what comes back takes its place (a mistake keeps what was typed),
// and a redirect leads on. [data-changed] in an answer tells the page that something is new;
// [data-reload] loads it anew once the dialog is closed. A [data-close] link closes it.

const OFFLINE = "The server cannot be reached. What you typed is still here; try again.";

customElements.define("modal-link", class extends HTMLElement {
  connectedCallback() {
    this.addEventListener("click", this);
  }

  handleEvent(event) {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    new Modal(link).open();
  }
});

class Modal {
  constructor(link) {
    this.link = link;
    this.dialog = document.createElement("dialog");
    this.dialog.className = "modal";
    this.dialog.setAttribute("aria-labelledby", "modal-name");
    this.inside = document.createElement("div");
    // Stays while what is inside changes, so that what it says is heard.
    this.status = this.part("p", "");
    this.status.className = "unseen";
    this.status.setAttribute("role", "status");
    this.dialog.append(this.inside, this.status);
    this.reload = false;
    this.dialog.addEventListener("click", (event) => this.clicked(event));
    this.dialog.addEventListener("submit", (event) => this.send(event));
    this.dialog.addEventListener("close", () => this.closed());
  }

  async open() {
    this.wait();
    document.body.append(this.dialog);
    this.dialog.showModal();
    await this.load(this.link.href, {});
  }

  wait() {
    const name = this.part("h1", this.link.textContent);
    name.id = "modal-name";
    const loading = this.part("p", "Loading");
    loading.className = "faint loading";
    this.inside.replaceChildren(name, loading);
  }

  part(tag, text) {
    const element = document.createElement(tag);
    element.textContent = text;
    return element;
  }

  clicked(event) {
    if (!event.target.closest("[data-close]")) return;
    event.preventDefault();
    this.dialog.close();
  }

  closed() {
    this.dialog.remove();
    if (this.reload) location.reload();
    // What was redrawn meanwhile has another link in this one's place.
    else (this.link.isConnected ? this.link : document.querySelector(`a[href="${this.link.getAttribute("href")}"]`))?.focus();
  }

  async send(event) {
    event.preventDefault();
    if (this.busy) return;
    const form = event.target;
    const body = new URLSearchParams(new FormData(form, event.submitter));
    this.busy = true;
    await this.load(form.action, { method: "POST", body }, event.submitter);
    this.busy = false;
  }

  async load(url, request, button) {
    button?.setAttribute("aria-busy", "true");
    this.status.textContent = button ? "Sending" : "Loading";
    try {
      const answer = await fetch(url, { ...request, headers: { "X-Part": "1" } });
      if (answer.redirected) return location.assign(answer.url);
      if (answer.status === 401) return location.reload();
      this.put(await answer.text());
    } catch {
      this.fail();
    } finally {
      button?.removeAttribute("aria-busy");
      this.status.textContent = "";
    }
  }

  put(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("[data-modal]");
    if (!fresh) return this.fail();
    this.inside.replaceChildren(document.adoptNode(fresh));
    fresh.classList.remove("card", "padded", "narrow");
    const name = fresh.querySelector("h1");
    name.id = "modal-name";
    name.tabIndex = -1;
    this.reload = "reload" in fresh.dataset;
    if ("changed" in fresh.dataset) document.dispatchEvent(new Event("changed"));
    this.place(fresh, name);
  }

  place(fresh, name) {
    const target = fresh.querySelector("[aria-invalid]") ?? fresh.querySelector("[autofocus]") ?? name;
    target.focus();
  }

  fail() {
    this.dialog.querySelector(".notice.offline")?.remove();
    this.dialog.querySelector(".loading")?.remove();
    const notice = this.part("p", OFFLINE);
    notice.className = "notice bad offline";
    notice.setAttribute("role", "alert");
    this.inside.append(notice);
    notice.scrollIntoView({ block: "nearest" });
  }
}
