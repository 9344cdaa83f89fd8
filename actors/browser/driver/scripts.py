"""The JavaScript that the driver runs in pages.

Laws of this file: each is one expression; what it takes comes as JSON arguments, never pasted into
the text. A page may have replaced anything it can reach, so nothing here guards a secret.
"""

from __future__ import annotations

import json
from typing import Any, Final

_FIND: Final = """
const find = (selector) => [...document.querySelectorAll(selector)].find((element) => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && element.checkVisibility({visibilityProperty: true});
});
"""

READY: Final = """
() => document.readyState !== 'loading' || new Promise((done) =>
  document.addEventListener('DOMContentLoaded', () => done(true), {once: true}))
"""

VISIBLE: Final = f"(selector) => {{ {_FIND} return Boolean(find(selector)); }}"

# The setter of the element's class and not the element's own: frameworks put theirs on the element
# to learn of changes made by scripts, and would take this one for such.
FILL: Final = f"""
(selector, text) => {{
  {_FIND}
  const element = find(selector);
  if (!element || element.disabled || element.readOnly) return false;
  element.focus();
  if (element.isContentEditable) element.textContent = text;
  else {{
    let owner = Object.getPrototypeOf(element);
    while (owner && !Object.getOwnPropertyDescriptor(owner, 'value')?.set)
      owner = Object.getPrototypeOf(owner);
    if (!owner) throw new TypeError('the element takes no text');
    Object.getOwnPropertyDescriptor(owner, 'value').set.call(element, text);
  }}
  element.dispatchEvent(new InputEvent('input',
    {{bubbles: true, composed: true, data: text, inputType: 'insertText'}}));
  element.dispatchEvent(new Event('change', {{bubbles: true}}));
  return true;
}}
"""

# Where a click would reach the element: in view, at rest, covered by nothing. At rest means for two
# frames, as an animation that is about to begin shows nothing in the first; a busy machine may take
# long for a frame.
CLICK_POINT: Final = f"""
async (selector) => {{
  {_FIND}
  const frame = () =>
    new Promise((done) => {{ requestAnimationFrame(done); setTimeout(done, 500); }});
  const element = find(selector);
  if (!element || element.disabled) return null;
  element.scrollIntoView({{block: 'center', inline: 'center', behavior: 'instant'}});
  const before = element.getBoundingClientRect();
  await frame();
  await frame();
  const after = element.getBoundingClientRect();
  if (before.x !== after.x || before.y !== after.y) return null;
  for (const box of [after, ...element.getClientRects()]) {{
    const x = box.x + box.width / 2, y = box.y + box.height / 2;
    const hit = document.elementFromPoint(x, y);
    if (hit && (element.contains(hit) || hit.closest('label')?.control === element))
      return {{x, y}};
  }}
  return null;
}}
"""

HTML: Final = """
(limit) => {
  const type = document.doctype ? new XMLSerializer().serializeToString(document.doctype) : '';
  return (type + (document.documentElement?.outerHTML ?? '')).slice(0, limit);
}
"""

READ_STORAGE: Final = """
() => {
  const all = (name) => {
    try {
      const store = window[name];
      const keys = Array.from({length: store.length}, (_, index) => store.key(index));
      return Object.fromEntries(keys.map((key) => [key, store.getItem(key)]));
    } catch { return {}; }
  };
  return {local: all('localStorage'), session: all('sessionStorage')};
}
"""

# Pairs and not objects: the name `__proto__` would be lost in an object.
WRITE_STORAGE: Final = """
(origin, local, session) => {
  if (location.origin !== origin) return false;
  for (const [key, value] of local) localStorage.setItem(key, value);
  for (const [key, value] of session) sessionStorage.setItem(key, value);
  return true;
}
"""


def calling(function: str, *args: Any) -> str:
    """Return the expression that calls the function (source text) with JSON arguments."""
    return f"({function}\n)({', '.join(json.dumps(each) for each in args)})"


def polling(function: str, *args: Any, slice_ms: int) -> str:
    """Return the expression that calls the function until it is truthy, for at most `slice_ms`.

    It gives a list with the value, for what is truthy here may be falsy elsewhere, or null. One
    command waits a whole slice in the page, so the answer comes when the condition does.
    """
    return f"""(async () => {{
      const end = performance.now() + {slice_ms};
      for (;;) {{
        const value = await {calling(function, *args)};
        if (value) return [value];
        if (performance.now() >= end) return null;
        await new Promise((done) => setTimeout(done, 40));
      }}
    }})()"""
