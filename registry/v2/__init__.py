"""The OCI door: `/v2/` as the OCI distribution specification 1.1 (and its draft items) says, and the token service.

routes      raw path -> route; each route names its IAM action; authentication, authorization, dispatch
calls       one request, as handlers see it
bodies      request bodies, bounded in size and time
errors      domain error -> OCI code and status
login       the challenge, and the Bearer token service at `/token`
uploads blobs manifests listings      handlers, one noun each
"""
