"""The actor runtime. Knows no browser, chat, tenant or HTTP."""
