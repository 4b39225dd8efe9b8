"""Doors of online payment: the card gateway, its notifications, the cashier, portals (PAYAPI)."""
