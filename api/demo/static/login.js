/* The button works only once the captcha has been answered. */
(() => {
  "use strict";
  const button = document.getElementById("btnLogin");
  window.captchaAnswered = () => { button.disabled = false; };
  window.captchaExpired = () => { button.disabled = true; };
})();
