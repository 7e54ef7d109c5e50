"""The web application: its sources (``web/``), its build, the built files as a query process serves them."""
