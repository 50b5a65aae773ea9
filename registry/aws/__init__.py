"""AWS on the wire: JSON 1.1, and the query protocol of STS and IAM. Knows no service but by its model.

door         X-Amz-Target or Action -> operation -> who signed -> parameters -> may they -> handler -> answer
bodies       request bodies, bounded, hashed while they come
spec         service models, as botocore installs them
validate     parameters against a shape
query        the query protocol: forms in, XML out
serialize    results and errors as JSON 1.1
errors       domain error -> AWS code
paging       sealed nextToken
coverage     which operations are built

May import rooms' context, keys and words; never a room, and no package of a service.
"""
