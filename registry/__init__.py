"""The registry: what Longshore does with images.

Floors, top to bottom; each may import only what stands below it (`pyproject.toml` holds the contract):

    v2  ecr  sts                        doors: translate and authorize
    aws                                 AWS on the wire, for every AWS door
    repositories images layers ...      rooms: act
    context                             what a room needs: Deps, and Context for one request
    auth                                who is asking, and may they
    records  storage                    rows, bytes
    manifests hosts model               pure words and readings
    errors names                        words
"""
