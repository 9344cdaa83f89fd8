"""What all pages for people share: templates, static files, security headers, custom elements.

`load_pages` compiles every template and reads every static file before the doors open. From then on
nothing here touches the disk.
"""

from api.pages.assets import ASSETS_PATH, Assets
from api.pages.headers import page_headers
from api.pages.pages import Pages, load_pages
from api.pages.qr import qr_svg

__all__ = ["ASSETS_PATH", "Assets", "Pages", "load_pages", "page_headers", "qr_svg"]
