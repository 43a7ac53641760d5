"""How people log in to the console: local passwords, an OpenID Connect provider, second factors, sessions."""
