"""Keys: who is asking, and may they.

sealing      one sealed-token primitive; every token, page mark, upload id and signed URL is made with it
principals   who a credential speaks for
sessions     temporary credentials: issue and open
sigv4        one verifier of AWS signatures (pure)
tokens       docker-login passwords and Bearer tokens: issue and open
authenticator  a request's credential -> Principal, or NotAuthenticated
authorizer   may this principal do this action on this resource

May import records, words; never a room or a door.
"""
