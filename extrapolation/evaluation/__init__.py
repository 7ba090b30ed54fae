"""Which windows score which targets, and how many keys a query needs."""
