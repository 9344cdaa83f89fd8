"""The JavaScript that `emodal` asks the portal's pages with.

Laws of this file: what is known of the portal's markup comes in as `at`, from emodal.py; each
function returns null while the page has not decided yet, and throws nothing, so that it can be
polled across page loads.
"""

from __future__ import annotations

from typing import Final

# `look()` tells where the browser is: {state: 'in' | 'form' | 'broken', ...}, or null.
_LOOK: Final = """
  const shown = (element) => Boolean(element) && element.checkVisibility() &&
    element.getBoundingClientRect().height > 0;
  const first = (selector) => [...document.querySelectorAll(selector)].find(shown);
  const text = (element) => (element ? element.textContent.replace(/\\s+/g, ' ').trim() : '');
  const siteKey = () => {
    const named = document.querySelector(at.captcha);
    if (named) return named.dataset.sitekey;
    const frame = document.querySelector(at.captchaFrame);
    return frame ? new URL(frame.src, location.href).searchParams.get('k') : null;
  };
  const form = () => {
    const submit = first(at.submit);
    const key = siteKey();
    // A widget that is drawn by script comes later; the button waits for it, and so do we.
    if (!key && (document.readyState !== 'complete' || !submit || submit.disabled)) return null;
    const refusal = text(first(at.refusal)).slice(0, 200);
    if (window.mooringSubmitted && !refusal) return null;
    return {state: 'form', siteKey: key, refusal};
  };
  const look = () => {
    if (location.protocol === 'chrome-error:') return {state: 'broken', status: 0};
    const [load] = performance.getEntriesByType('navigation');
    if (load && load.responseStatus >= 400) return {state: 'broken', status: load.responseStatus};
    const identity = at.identityPaths.some((path) => location.pathname.includes(path));
    if (!identity && hosts.includes(location.host) && first(at.user)) return {state: 'in'};
    return first(at.username) && first(at.password) ? form() : null;
  };
"""

LOOK: Final = f"(at, hosts) => {{ {_LOOK} return look(); }}"

LOGGED_IN: Final = f"""
(at, hosts) => {{
  {_LOOK}
  const seen = look();
  return {{in: seen !== null && seen.state === 'in'}};
}}
"""

# Hands the token to the form as the widget would, and marks the document that is about to be left.
ANSWER: Final = """
(at, token) => {
  if (token) {
    let fields = [...document.querySelectorAll(at.captchaAnswer)];
    if (!fields.length) {
      if (document.readyState !== 'complete') return null;
      const made = document.createElement('textarea');
      made.name = 'g-recaptcha-response';
      made.hidden = true;
      (document.querySelector(at.password).form ?? document.body).append(made);
      fields = [made];
    }
    for (const field of fields) {
      field.value = token;
      field.dispatchEvent(new Event('input', {bubbles: true}));
      field.dispatchEvent(new Event('change', {bubbles: true}));
    }
    const callbacks = new Set();
    const add = (one) => callbacks.add(typeof one === 'string' ? window[one] : one);
    for (const widget of document.querySelectorAll(at.captcha)) add(widget.dataset.callback);
    // A widget drawn by script keeps its callback in reCAPTCHA's own books, a few levels down.
    const search = (object, depth) => {
      if (!object || typeof object !== 'object' || object instanceof Node || depth > 4) return;
      if ('callback' in object && 'sitekey' in object) add(object.callback);
      else Object.values(object).forEach((value) => search(value, depth + 1));
    };
    try { search(window.___grecaptcha_cfg?.clients, 0); } catch { /* the books are not ours */ }
    for (const callback of callbacks) {
      try { if (typeof callback === 'function') callback(token); } catch { /* the page's fault */ }
    }
  }
  window.mooringSubmitted = true;
  return true;
}
"""

# Finds the container's row by scrolling, expands it and reads the booking number. Each call takes
# one step, and `window.mooringSeek` remembers the steps before.
BOOKING: Final = f"""
(at, hosts, wanted, pace) => {{
  {_LOOK}
  const seen = look();
  if (seen && seen.state !== 'in') return seen;
  if (document.readyState === 'loading') return null;
  const now = performance.now();
  const seek = window.mooringSeek ??= {{rows: 0, grown: now, quiet: now}};

  // The portal shows some numbers with a letter behind the check digit.
  const key = (number) => number.trim().toUpperCase().replace(/(\\d)[A-Z]$/, '$1');
  const target = key(wanted);
  const busy = [...document.querySelectorAll(at.busy)].some(shown) ||
    (window.getAllAngularTestabilities?.() ?? []).some((part) => !part.isStable());
  if (busy) seek.quiet = now;
  const quietMs = now - seek.quiet;
  const stuck = () => {{
    if (now - seek.grown > pace.stallMs) return {{state: 'stalled'}};
    const complaint = quietMs > pace.quietMs && text(first(at.complaint)).slice(0, 200);
    return complaint ? {{state: 'complaint', complaint}} : null;
  }};

  const scroller = first(at.scroller) ?? document.scrollingElement;
  const rows = [...document.querySelectorAll(at.row)].filter((row) => !row.matches(at.detail));
  const leaves = (row) => [...row.querySelectorAll('*')].filter((part) => !part.firstElementChild);
  const row = document.body.textContent.toUpperCase().includes(target) && rows.find(
    (one) => leaves(one).some((leaf) => key(leaf.textContent) === target));

  if (!row) {{
    if (rows.length !== seek.rows) Object.assign(seek, {{
      rows: rows.length, grown: now, quiet: now, nudged: false}});
    const patienceMs = rows.length ? pace.quietMs : pace.emptyMs;
    const trouble = stuck();
    if (trouble) return trouble;
    if (quietMs > patienceMs && seek.nudged) return {{state: 'end', rows: rows.length}};
    const before = scroller.scrollTop;
    // Some tables overlook that they were scrolled while they loaded: one more jolt at the end.
    const jolt = quietMs > patienceMs / 2 && !seek.nudged;
    if (jolt) {{ seek.nudged = true; scroller.scrollTop = 0; }}
    scroller.scrollTop = scroller.scrollHeight;
    if (jolt || scroller.scrollTop !== before) scroller.dispatchEvent(new Event('scroll'));
    return null;
  }}

  if (!seek.found) Object.assign(seek, {{found: true, grown: now, quiet: now}});
  const under = row.nextElementSibling;
  const places = under && under.matches(at.detail) ? [under, row] : [row];
  const labels = places.flatMap((place) => [...place.querySelectorAll(at.label)]);
  if (labels.length) {{
    const label = labels.find((one) => /^booking\\s*(#|no\\.?|number)?\\s*:?$/i.test(text(one)));
    const value = label &&
      text(label.parentElement.querySelector(at.value) ?? label.nextElementSibling);
    if (value && !/^(n\\/?a|none|-+)$/i.test(value)) return {{state: 'read', booking: value}};
    // No number there: only once the page has settled is that an answer.
    if (quietMs > pace.settleMs) return {{state: 'read', booking: null}};
    return null;
  }}
  const icon = (names) =>
    [...row.querySelectorAll('mat-icon')].find((one) => names.includes(text(one)));
  const open = row.matches(at.expanded) || row.querySelector(at.expanded) || icon(at.openIcons);
  if (!open && (!seek.clicked || (!busy && now - seek.clicked > pace.againMs))) {{
    seek.clicked = now;
    row.scrollIntoView({{block: 'center', behavior: 'instant'}});
    (icon(at.closedIcons) ?? row.querySelector(at.expander) ?? row).click();
    return null;
  }}
  return stuck();
}}
"""
