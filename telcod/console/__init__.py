"""The console of staff: `/console` for people, `/staff/v1` for programs (CARE-1…3, STAFF-1, 2)."""
