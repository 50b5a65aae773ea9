"""What lifecycle policies expire and archive, in tables: each case names the page that it rests on.

A case: what it shows | the rules | the images | the outcome | the page, as `keeping.py` says.
"""

import pytest

from tests.policies.keeping import decided, rows, short

PAGES = {
    "policies": "LifecyclePolicies",
    "properties": "lifecycle_policy_parameters",
    "examples": "lifecycle_policy_examples",
    "archiving": "archive-image",
    "restoring": "archive_restore_image",
    "ours": "left open there; told in docs/lifecycle-rules.md",
}

WORKED = """
by age | 1 pattern=prod* pushed>14 | A prod 15d; B prod2 13d; C beta 15d | -A | examples
by count | 1 untagged count>1 | A - 3d; B - 2d; C - 1d; D x 4d | -A -B | examples
rules A | 1 prefix=prod count>1; 2 prefix=beta count>1
    | A beta-1,prod-1 10d; B beta-2,prod-2 9d; C beta-3 8d | -A | examples
rules B | 1 prefix=beta count>1; 2 prefix=prod count>1
    | A beta-1,prod-1 10d; B beta-2,prod-2 9d; C beta-3 8d | -A -B | examples
rules A, patterns | 1 pattern=prod* count>1; 2 pattern=beta* count>1
    | A beta-1,prod-1 10d; B beta-2,prod-2 9d; C beta-3 8d | -A | examples
rules B, patterns | 1 pattern=beta* count>1; 2 pattern=prod* count>1
    | A beta-1,prod-1 10d; B beta-2,prod-2 9d; C beta-3 8d | -A -B | examples
tags A | 1 prefix=alpha,beta pushed>5
    | A alpha-1 12d; B beta-1 11d; C alpha-2,beta-2 10d; D alpha-3 4d; E beta-3 3d; F alpha-4,beta-4 2d
    | -C | examples
tags A, patterns | 1 pattern=alpha*,beta* pushed>5
    | A alpha-1 12d; B beta-1 11d; C alpha-2,beta-2 10d; D alpha-3 4d; E beta-3 3d; F alpha-4,beta-4 2d
    | -C | examples
tags B | 1 prefix=alpha,beta count>1
    | A alpha-1,beta-1,gamma-1 10d; B alpha-2,beta-2 9d; C alpha-3,beta-3,gamma-2 8d | -A -B | examples
all images A | 1 any count>1 | A alpha-1,beta-1 4d; B - 3d; C alpha-2 2d; D git-hash 1d | -A -B -C | examples
all images B | 1 prefix=alpha count>1; 2 untagged pushed>1; 3 any count>1
    | A alpha-1,beta-1 4d; B - 3d; C alpha-2 2d; D git-hash 1d; E - 1d | -A -B -D | examples
not pulled for 90 days | 1 any pulled>90 archive | A x 200d pulled=91; B y 200d pulled=90 | ~A | examples
archived, then deleted | 1 any pulled>90 archive; 2 any archived>365
    | A x 800d archived=366; B y 800d archived=365; C z 91.5d; D w 90d | ~C -A | examples
"""

SELECTING = """
no rule, no images | 1 any count>1 | | | policies
a prefix is a beginning | 1 prefix=prod pushed>1 | A prod 2d; B xprod 2d; C pro 2d | -A | properties
a prefix knows case | 1 prefix=prod pushed>1 | A Prod 2d | | properties
a prefix has no wildcards | 1 prefix=p* pushed>1 | A prod 2d; B p 2d | | properties
a pattern is whole | 1 pattern=prod pushed>1 | A prod 2d; B prod1 2d; C xprod 2d | -A | properties
a pattern with a star at the end | 1 pattern=prod* pushed>1 | A prod 2d; B production 2d | -A -B | properties
a pattern with two stars | 1 pattern=*prod* pushed>1 | A repo-production 2d; B pro-d 2d | -A | policies
a pattern with a star in the middle | 1 pattern=v*-rc pushed>1 | A v1-rc 2d; B v1-rc1 2d | -A | properties
a pattern with four stars | 1 pattern=*test*1*2*3 pushed>1
    | A a-test-1-2-3 2d; B test123 2d; C test132 2d | -A -B | properties
only the star is a wildcard | 1 pattern=v? pushed>1 | A v1 2d; B v? 2d | -B | properties
a dot is a dot | 1 pattern=1.* pushed>1 | A 1.2 2d; B 1x2 2d | -A | properties
a star alone is every tag | 1 pattern=* pushed>1 | A x 2d; B - 2d | -A | properties
a pattern knows case | 1 pattern=V* pushed>1 | A v1 2d; B V1 2d | -B | properties
one of several tags is enough | 1 pattern=v* pushed>1 | A a,v1,z 2d | -A | policies
two patterns, each by its own tag | 1 pattern=a*,b* pushed>1 | A a1,b1 2d; B a1,a2 2d | -A | policies
two patterns, both by one tag | 1 pattern=a*,*z pushed>1 | A a-z 2d; B a,b 2d | -A | policies
three patterns | 1 pattern=a*,b*,c* pushed>1 | A a,b,c 2d; B a,b 2d; C b,c 2d | -A | policies
one pattern twice | 1 pattern=a*,a* pushed>1 | A a1 2d | -A | policies
two prefixes, both by one tag | 1 prefix=a,ab pushed>1 | A abc 2d; B ac 2d | -A | policies
three prefixes | 1 prefix=a,b,c pushed>1 | A a1,b1,c1 2d; B a1,c1 2d | -A | policies
tagged is not untagged | 1 pattern=* pushed>1 | A - 2d | | properties
untagged is without any tag | 1 untagged pushed>1 | A - 2d; B x 2d | -A | properties
any is tagged and untagged | 1 any pushed>1 | A - 2d; B x 2d | -A -B | properties
standard is not the archive | 1 any pushed>1 | A - 2d archived=1; B - 2d | -B | properties
the archive is not standard | 1 any archived>90 | A - 200d; B - 200d archived=91 | -B | properties
the archive by pattern | 1 pattern=v* archived>90 | A v1 200d archived=91; B x 200d archived=91 | -A | properties
the archive, untagged | 1 untagged archived>90 | A v1 200d archived=91; B - 200d archived=91 | -B | properties
what is in the archive does not count | 1 any count>1 | A - 1d archived=1; B - 2d; C - 3d | -C | properties
pushed_at of the archive does not count | 1 any archived>90 | A - 900d archived=90 | | properties
"""

BOUNDS = """
as many as are kept | 1 any count>2 | A - 2d; B - 1d | | policies
one more than is kept | 1 any count>2 | A - 3d; B - 2d; C - 1d | -A | policies
fewer than are kept | 1 any count>9 | A - 3d | | policies
the oldest go first | 1 any count>1 | C - 1d; A - 5d; B - 3d | -A -B | policies
at one moment, by digest | 1 any count>1 | C - 1d; A - 1d; B - 1d | -A -B | ours
pushed later than now is the newest | 1 any count>1 | A - -1d; B - 0d | -B | ours
pushed later than now is not old | 1 any pushed>1 | A - -5d | | ours
a day and no more | 1 any pushed>1 | A - 1d | | policies
more than a day | 1 any pushed>1 | A - 1.001d | -A | policies
pulls do not matter to the push time | 1 any pushed>1 | A - 2d pulled=0 | -A | policies
pulls do not matter to the count | 1 any count>1 | A - 2d pulled=0; B - 1d | -A | policies
last pulled long ago | 1 any pulled>9 archive | A - 20d pulled=10 | ~A | policies
pulled just within | 1 any pulled>9 archive | A - 20d pulled=9 | | policies
never pulled, pushed long ago | 1 any pulled>9 archive | A - 10d; B - 9d | ~A | policies
pulled before it was pushed again | 1 any pulled>9 archive | A - 5d pulled=10 | ~A | policies
restored: age since then | 1 any pushed>9 | A - 90d restored=9; B - 90d restored=10 | -B | restoring
restored: order by then | 1 any count>1 | A - 90d restored=1; B - 2d | -B | restoring
restored, not pulled since | 1 any pulled>9 archive | A - 90d pulled=50 restored=9 | | policies
restored long ago, not pulled since | 1 any pulled>9 archive | A - 90d pulled=50 restored=10 | ~A | policies
restored and pulled since | 1 any pulled>9 archive
    | A - 90d restored=20 pulled=10; B - 90d restored=20 pulled=9 | ~A | policies
restored, never pulled | 1 any pulled>9 archive | A - 90d restored=9; B - 90d restored=10 | ~B | policies
archived once more: age since the last time | 1 any archived>90 | A - 900d restored=95 archived=90 | | policies
beyond the longest time that there is | 1 any pushed>2147483647 | A - 9000d | | ours
in the archive, by the time of being archived | 1 any archived>90
    | A - 900d archived=91; B - 800d archived=95 | -B -A | policies
archive by count | 1 any count>1 archive | A - 2d; B - 1d | ~A | properties
archive by push time | 1 any pushed>1 archive | A - 2d; B - 1d | ~A | properties
archive by pattern | 1 pattern=v* pulled>1 archive | A v1 2d; B x 2d | ~A | properties
what is in the archive is not archived | 1 any pushed>1 archive | A - 5d archived=2 | | archiving
"""

CLAIMS = """
order of the document is nothing | 2 prefix=beta count>1; 1 prefix=prod count>1
    | A beta-1,prod-1 10d; B beta-2,prod-2 9d; C beta-3 8d | -A | policies
gaps are fine | 7 prefix=prod count>1; 900 prefix=beta count>1
    | A beta-1,prod-1 10d; B beta-2,prod-2 9d; C beta-3 8d | -A | properties
claimed and kept is out of reach | 1 prefix=a count>9; 2 any pushed>1 | A a1 5d; B b1 5d | -B | policies
claimed and young is out of reach | 1 prefix=a pushed>9; 2 any pushed>1 | A a1 5d; B b1 5d | -B | policies
what is claimed still counts | 1 prefix=a count>9; 2 any count>1 | A a1 1d; B b1 2d; C b2 3d | -C -B | policies
what is marked still counts | 1 prefix=a pushed>1; 2 any count>2 | A a1 5d; B b1 6d; C b2 7d | -A -C | policies
the first rule that selects has it | 1 prefix=a pushed>9; 2 prefix=b pushed>1 | A a1,b1 5d | | policies
the second rule, where the first does not select | 1 prefix=a pushed>9; 2 prefix=b pushed>1 | A b1 5d | -A | policies
one rule is enough | 1 prefix=a pushed>1; 2 prefix=b pushed>9 | A a1,b1 5d | -A | policies
expired by one rule, not archived by the next | 1 prefix=a pushed>1; 2 any pushed>1 archive
    | A a1 5d; B - 5d | -A ~B | policies
archived by one rule, not expired by the next | 1 prefix=a pushed>1 archive; 2 any pushed>1
    | A a1 5d; B - 5d | ~A -B | policies
classes claim apart | 1 any pushed>1; 2 any archived>90 | A - 5d; B - 300d archived=91 | -A -B | policies
a rule of the archive claims nothing outside | 1 any archived>90; 2 any pushed>1
    | A - 5d; B - 300d archived=91 | -B -A | policies
prefix and pattern rules together | 1 prefix=a count>1; 2 pattern=*b count>1
    | A a-b 5d; B a-c 4d; C c-b 3d; D d-b 2d | -A -C | policies
three rules, three fates | 1 pattern=release* count>2; 2 pattern=dev* pushed>7; 3 any count>3
    | A release1 30d; B release2 20d; C release3 10d; D dev1 8d; E dev2 6d; F x 5d; G y 2d | -A -D | policies
any expires what no earlier rule has | 1 pattern=release* count>9; 2 untagged pushed>1; 3 any count>2
    | A release1 9d; B x 8d; C - 7d; D y 6d; E - 1d; F z 0.5d | -C -B -D | policies
within a rule the oldest first | 1 any pushed>1 | A - 3d; B - 9d; C - 5d | -B -C -A | policies
the lower number first | 1 prefix=a pushed>1; 2 prefix=b pushed>1 | A b 9d; B a 3d | -B -A | policies
"""

INDEXES = """
parts stay with their index | 1 untagged pushed>1 | I v1 5d; A - 5d in=I; B - 5d in=I | | policies
parts go with their index | 1 any pushed>1 | I v1 5d; A - 5d in=I; B - 9d in=I | -I -B -A | ours
parts do not count as untagged | 1 untagged count>1 | I v1 5d; A - 1d in=I; B - 3d; C - 2d | -B | ours
parts do not count at all | 1 any count>1 | I v1 5d; A - 1d in=I; J v2 4d; B - 1d in=J | -I -A | ours
a part of two indexes stays with one | 1 prefix=a pushed>1 | I a 5d; J b 5d; A - 5d in=I,J | -I | policies
a part of two indexes goes with both | 1 any pushed>1 | I a 5d; J b 5d; A - 5d in=I,J | -I -J -A | ours
a part goes by the rule of the last index | 1 prefix=a pushed>1; 2 prefix=b pushed>1
    | I a 5d; J b 5d; A - 9d in=I,J | -I -J -A | ours
an untagged index goes like an image | 1 untagged pushed>1 | I - 5d; A - 5d in=I | -I -A | ours
an index with a tag is not untagged | 1 untagged pushed>1 | I x 5d; A - 5d in=I; B - 5d | -B | policies
nested: all stay | 1 untagged pushed>1 | I v1 5d; J - 5d in=I; A - 5d in=J | | policies
nested: all go, the outermost first | 1 any pushed>1 | A - 9d in=J; J - 8d in=I; I v1 5d | -I -J -A | ours
nested: the inner one has a tag | 1 prefix=in pushed>1 | I v1 5d; J in 8d in=I; A - 9d in=J | | policies
nested: both have tags | 1 pattern=* pushed>1 | I v1 5d; J in 8d in=I; A - 9d in=J | -I -J -A | policies
a tagged part cannot go before its index | 1 prefix=amd pushed>1 | I v1 5d; A amd 5d in=I | | policies
a tagged part goes after its index | 1 prefix=amd pushed>1; 2 prefix=v pushed>1
    | I v1 5d; A amd 5d in=I | -I -A | policies
a tagged part stays where its own rule keeps it | 1 prefix=amd pushed>9; 2 any pushed>1
    | I v1 5d; A amd 5d in=I | -I | policies
a tagged part without a rule stays | 1 prefix=v pushed>1 | I v1 5d; A amd 5d in=I | -I | policies
a tagged part counts as an image | 1 pattern=v* count>2 | I v1 1d; A v1-amd 2d in=I; B v0 3d | -B | policies
an index outside of the list blocks for good | 1 any pushed>1 | A x 5d in=Z; B - 5d in=Z; C - 5d | -C | ours
one outside and one that goes | 1 any pushed>1 | I v1 5d; A - 5d in=I,Z | -I | ours
parts go to the archive with their index | 1 any pulled>9 archive | I v1 10d; A - 10d in=I | ~I ~A | archiving
parts stay active with their index | 1 any pulled>9 archive | I v1 9d; A - 10d in=I | | archiving
a pull of a part is use of the index | 1 any pulled>9 archive | I v1 90d; A - 90d in=I pulled=2 | | ours
an older pull of a part changes nothing | 1 any pulled>9 archive
    | I v1 90d pulled=10; A - 90d in=I pulled=12 | ~I ~A | ours
a pull of a part of a part is use too | 1 any pulled>9 archive
    | I v1 90d; J - 90d in=I; A - 90d in=J pulled=2 | | ours
a pull of a tagged part is its own | 1 prefix=v pulled>9 archive | I v1 90d; A x 90d in=I pulled=2 | ~I | ours
pulls of a part do not move the push time | 1 any pushed>9 | I v1 90d; A - 90d in=I pulled=2 | -I -A | policies
archived parts go with their archived index | 1 any archived>90
    | I v1 900d archived=91; A - 900d archived=91 in=I | -I -A | ours
archived parts stay with their archived index | 1 any archived>90
    | I v1 900d archived=90; A - 900d archived=91 in=I | | policies
one index archived, one expired: the part is archived | 1 prefix=a pushed>1; 2 prefix=b pushed>1 archive
    | I a 5d; J b 5d; A - 5d in=I,J | -I ~J ~A | ours
one index in the archive before, one expired: the part is archived | 1 any pushed>1
    | I a 5d; J b 90d archived=5; A - 5d in=I,J | -I ~A | ours
a part that is in the archive already is not archived again | 1 any pushed>1 archive
    | I a 5d; A - 5d archived=2 in=I | ~I | ours
a tagged part may be archived after its index | 1 any pushed>1 archive | I a 5d; A b 5d in=I | ~I ~A | policies
a tagged part may be archived where its index is gone | 1 prefix=a pushed>1; 2 prefix=b pushed>1 archive
    | I a 5d; A b 5d in=I | -I ~A | policies
a tagged part may be archived where its index was | 1 any pushed>1 archive
    | I a 50d archived=5; A b 5d in=I | ~A | policies
a tagged part does not expire where its index is archived | 1 prefix=a pushed>1 archive; 2 prefix=b pushed>1
    | I a 5d; A b 5d in=I | ~I | policies
an index of itself never goes | 1 any pushed>1 | I v1 5d in=I; A - 5d | -A | ours
a ring of indexes never goes | 1 any pushed>1 | I v1 5d in=J; J - 5d in=I; A - 5d in=J; B - 5d | -B | ours
an index named twice is one | 1 any pushed>1 | I v1 5d; A - 5d in=I,I | -I -A | ours
"""

REFERRERS = """
a signature stays with its image | 1 untagged pushed>1 | A v1 5d; S - 5d on=A | | policies
a signature goes with its image | 1 prefix=v pushed>1 | A v1 5d; S - 9d on=A | -A -S | policies
signatures do not count | 1 untagged count>1 | A v1 5d; S - 1d on=A; B - 3d; C - 2d | -B | ours
signatures do not count among all | 1 any count>1 | A v1 5d; S - 1d on=A | | ours
a tagged signature follows too | 1 pattern=* pushed>1 | A - 5d; S sig 5d on=A | | policies
a tagged signature goes too | 1 untagged pushed>1 | A - 5d; S sig 5d on=A | -A -S | policies
a signature of a signature | 1 prefix=v pushed>1 | A v1 5d; S - 5d on=A; T - 9d on=S | -A -S -T | policies
a signature of a signature stays | 1 untagged pushed>1 | A v1 5d; S - 5d on=A; T - 9d on=S | | policies
several on one image | 1 any pushed>1 | A v1 5d; S - 4d on=A; T - 3d on=A | -A -S -T | policies
without its subject it is an image like others | 1 untagged pushed>1 | S - 5d on=Z | -S | ours
without its subject it counts | 1 untagged count>1 | S - 1d on=Z; A - 2d | -A | ours
signatures go to the archive with their image | 1 prefix=v pulled>9 archive
    | A v1 10d; S - 1d on=A | ~A ~S | archiving
signatures leave the archive with their image | 1 any archived>90
    | A v1 900d archived=91; S - 900d archived=91 on=A | -A -S | policies
signatures stay in the archive with their image | 1 any archived>90
    | A v1 900d archived=90; S - 900d archived=91 on=A | | policies
a signature of an index | 1 any pushed>1 | I v1 5d; A - 5d in=I; S - 5d on=I | -I -A -S | policies
a signature of a part | 1 any pushed>1 | I v1 5d; A - 5d in=I; S - 5d on=A | -I -A -S | policies
a signature of a part stays | 1 untagged pushed>1 | I v1 5d; A - 5d in=I; S - 5d on=A | | policies
listed and referring: the index holds it | 1 prefix=a pushed>1 | A a 5d; I v1 5d; S - 5d on=A in=I | -A | policies
listed and referring: the subject holds it | 1 prefix=v pushed>1 | A a 5d; I v1 5d; S - 5d on=A in=I | -I | ours
listed and referring: goes with both | 1 any pushed>1 | A a 5d; I v1 5d; S - 5d on=A in=I | -A -I -S | policies
listed, its subject is gone: a part of the index, also with a tag | 1 prefix=sig pushed>1
    | I v1 5d; S sig 5d on=Z in=I | | ours
listed, its subject is gone: does not count | 1 pattern=* count>2
    | I v1 1d; S sig 2d on=Z in=I; A x 3d | | ours
listed, its subject goes, the index stays: nothing else goes by it | 1 prefix=a pushed>1; 2 pattern=* count>3
    | A a 5d; I v1 1d; S sig 2d on=A in=I; C c 3d; D d 4d | -A | ours
an index that refers takes its parts along | 1 prefix=v pushed>1 | A v1 5d; I - 5d on=A; B - 5d in=I | -A -I -B | ours
a signature of itself never goes | 1 any pushed>1 | S - 5d on=S; B - 5d | -B | ours
a pull of a signature is no use of the image | 1 any pulled>9 archive | A v1 90d; S - 90d on=A pulled=1 | ~A ~S | ours
"""

KEEPING = """
keeps what it selects | 1 pattern=v* keep; 2 any pushed>1 | A v1 5d; B x 5d | -B | ours
keeps untagged | 1 untagged keep; 2 any pushed>1 | A v1 5d; B - 5d | -A | ours
keeps all | 1 any keep; 2 any pushed>1 | A v1 5d; B - 5d | | ours
keeps the newest | 1 pattern=v* count>1 keep; 2 any pushed>1 | A v1 5d; B v2 4d; C x 5d | -A -C | ours
keeps the newest of all | 1 any count>2 keep; 2 any pushed>1 | A v1 5d; B v2 4d; C x 3d | -A | ours
keeps the young | 1 any pushed>4 keep; 2 any count>1 | A a 5d; B b 4d; C c 3d | -A | ours
keeps what is pulled | 1 any pulled>4 keep; 2 any pushed>1 | A a 9d pulled=4; B b 9d pulled=5 | -B | ours
what it keeps still counts | 1 prefix=v keep; 2 any count>1 | A v1 1d; B x 2d | -B | ours
what is beyond its bound is free | 1 prefix=v count>1 keep; 2 prefix=v pushed>9 | A v1 5d; B v2 10d | -B | ours
comes too late | 1 prefix=v pushed>1; 2 any keep | A v1 5d; B x 5d | -A | ours
keeps in the archive | 1 prefix=v in-archive keep; 2 any archived>90
    | A v1 900d archived=91; B x 900d archived=91 | -B | ours
keeps in the archive for a time | 1 any archived>30 keep; 2 untagged archived>90 | A - 900d archived=91 | -A | ours
does not reach into the other class | 1 any keep; 2 any archived>90 | A x 900d archived=91; B x 900d | -A | ours
not from archiving either | 1 prefix=v keep; 2 any pushed>1 archive | A v1 5d; B x 5d | ~B | ours
parts are not seen | 1 untagged keep; 2 any pushed>1 | I v1 5d; A - 5d in=I | -I -A | ours
a tagged part is kept, its index goes | 1 prefix=amd keep; 2 any pushed>1 | I v1 5d; A amd 5d in=I | -I | ours
a tagged signature is kept, and its image | 1 prefix=sig keep; 2 any pushed>1 | A v1 5d; S sig 5d on=A | | ours
two keep rules of the same selection | 1 any count>1 keep; 2 any pulled>4 keep; 3 any pushed>1
    | A a 9d pulled=3; B b 8d; C c 7d | -B | ours
expires by last pull | 1 any pulled>9 | A - 20d pulled=10; B - 20d pulled=9 | -A | ours
"""

USED = """
an image | 1 any pushed>1 | A x 5d; B y 5d | A | -B
an index keeps its parts | 1 any pushed>1 | I x 5d; A - 5d in=I; B y 5d | I | -B
a part keeps its index and the other parts | 1 any pushed>1 | I x 5d; A - 5d in=I; B - 5d in=I | A | 
a part keeps all its indexes | 1 any pushed>1 | I x 5d; J y 5d; A - 5d in=I,J; K z 5d | A | -K
a part of a part | 1 any pushed>1 | I x 5d; J - 5d in=I; A - 5d in=J | A | 
a tagged part keeps itself alone | 1 any pushed>1 | I x 5d; A y 5d in=I; B - 5d in=I | A | -I -B
a referrer keeps its subject | 1 any pushed>1 | A x 5d; S - 5d on=A | S | 
a subject keeps its referrers | 1 any pushed>1 | A x 5d; S - 5d on=A | A | 
nothing is archived | 1 any pushed>1 archive | A x 5d; B y 5d | A | ~B
what is not there | 1 any pushed>1 | A x 5d | Z | -A
it counts all the same | 1 any count>1 | A x 5d; B y 4d; C z 3d | C | -A -B
no other goes in its place | 1 any count>1 | A x 5d; B y 4d; C z 3d | A | -B
"""

TABLES = {
    "worked": WORKED,
    "selecting": SELECTING,
    "bounds": BOUNDS,
    "claims": CLAIMS,
    "indexes": INDEXES,
    "referrers": REFERRERS,
}


@pytest.mark.parametrize(
    ("rules", "images", "outcome"),
    [pytest.param(*case[1:4], id=f"{table}, {case[0]}") for table, text in TABLES.items() for case in rows(text)],
)
def test_what_goes(rules: str, images: str, outcome: str) -> None:
    assert short(decided(rules, images)) == outcome


@pytest.mark.parametrize(
    ("rules", "images", "outcome"), [pytest.param(*case[1:4], id=case[0]) for case in rows(KEEPING)]
)
def test_what_goes_by_rules_that_ecr_does_not_know(rules: str, images: str, outcome: str) -> None:
    assert short(decided(rules, images, extensions=True)) == outcome


@pytest.mark.parametrize(
    ("rules", "images", "used", "outcome"), [pytest.param(*case[1:], id=case[0]) for case in rows(USED)]
)
def test_what_is_in_use_stays(rules: str, images: str, used: str, outcome: str) -> None:
    assert short(decided(rules, images, in_use={used: "service web runs it"})) == outcome


def test_the_tables_hold_many_distinct_cases_each_with_its_page() -> None:
    cases = [case for text in (*TABLES.values(), KEEPING) for case in rows(text)]
    asked = {(rules, images) for _, rules, images, _, _ in cases}

    assert len(asked) == len(cases) >= 150
    assert {page for *_, page in cases} == set(PAGES)
    assert len([case for case in cases if case[3]]) >= 80
    assert len([case for case in cases if not case[3]]) >= 30
