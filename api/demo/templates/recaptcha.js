/* The widget's loader: draws the box into each .g-recaptcha and hands its token to the page. */
(() => {
  "use strict";
  const origin = {{ origin | tojson }};
  const widgets = [];

  function draw(host) {
    const id = widgets.length;
    const siteKey = host.dataset.sitekey;
    const frame = document.createElement("iframe");
    frame.title = "reCAPTCHA";
    frame.width = "304";
    frame.height = "78";
    frame.style.border = "0";
    frame.src = `${origin}/recaptcha/api2/anchor?k=${encodeURIComponent(siteKey)}` +
      `&co=${encodeURIComponent(location.origin)}`;
    const answer = document.createElement("textarea");
    answer.id = id === 0 ? "g-recaptcha-response" : `g-recaptcha-response-${id}`;
    answer.name = "g-recaptcha-response";
    answer.className = "g-recaptcha-response";
    answer.style.display = "none";
    const box = document.createElement("div");
    box.style.cssText = "width:304px;height:78px";
    box.append(frame);
    host.append(box, answer);
    widgets.push({ host, frame, answer });
  }

  function answered(widget, token) {
    widget.answer.value = token;
    const callback = window[widget.host.dataset.callback];
    if (typeof callback === "function") callback(token);
  }

  function expired(widget) {
    widget.answer.value = "";
    const callback = window[widget.host.dataset.expiredCallback];
    if (typeof callback === "function") callback();
  }

  window.addEventListener("message", (event) => {
    if (event.origin !== origin) return;
    const widget = widgets.find((one) => one.frame.contentWindow === event.source);
    if (!widget) return;
    if (event.data.expired) expired(widget);
    else answered(widget, String(event.data.token));
  });

  window.grecaptcha = {
    getResponse: (id = 0) => (widgets[id] ? widgets[id].answer.value : ""),
    ready: (then) => then(),
  };

  const start = () => document.querySelectorAll(".g-recaptcha").forEach(draw);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
