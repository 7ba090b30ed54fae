"""Growth at infinity: monomials, transseries, signs, case splits."""
