"""HEIC files, in base64: the decoder that the tests use cannot write them.

pillow-heif 1.8.1 (libheif with x265) wrote them with quality 90 from `COLORS`, a gradient. ``turned`` and
``mirrored`` contain it turned to the left and mirrored, and say so in EXIF and in the container.
"""

import base64
import zlib

import numpy as np

ROWS, COLUMNS = np.mgrid[0:32, 0:48]
COLORS = np.dstack([COLUMNS * 5, ROWS * 8, (ROWS + COLUMNS) * 3]).astype(np.uint8)
"""What the files show, 48 x 32 pixels."""

HEIC = {
    name: zlib.decompress(base64.b64decode(text))
    for name, text in {
        "plain": (
            "eNpjYGCQSSupLMhIzUxmAILczDRDEDs3MzGNgYGxNje1JJEBAhQzUnKKoGyGgszkEgY0oJSZkw82xMWBgREIgYBxIYQGsiSAhHJm"
            "Zl4ahAvEokBOKhOUl1GWbAhi8hVkluTClfzNLCgqANJ3MwuS84F0GVCZMyMzSGgCWJHcB4Y/f3/8YGDgZ04A6pBwYORh/P8fpIAZ"
            "pIIZhOR2MTkkAiW1nBgZ0WQWKDSyTnv1ZNnOHRwZBgpAIWYQwaCYBFTO5sJ4sPhAJ9AS4eT8nKK85JwKoCgvA1sDUEgks7ggFepv"
            "ByjWSM5JBLnMAOp4BRD9////D0CaCUg/ANFALFCQWZEJ0sjMwcEBpCQyC3JhgQwMN9ZGJmbWFiBTITclERjIjCIajOvZLDoF5N84"
            "t04I81xQeJrvM8+EbeWNFw34osItzz/KvrV9URxP7OZXU6b/2KZROWFZ+pc3/f8kooXzatt3SG1zcylr7nfbbi2zpnjB426dl+qs"
            "RsLSRkKHTczu33Hd9+Pg/M/l2k//eaXM6f/9/rGKQavWKf9p2+88n/T7SzJXE+ub2LSpaelBSuE8x8+VvTroujvtfwZ78425j1Za"
            "/H0WYXlr+eX8hbxfPG8YXWrf9MZNgbf5X6Cx1eYNWuUHptaXqB08kPluhljytlUuliUPpntt3PmjdMksbYZz0ZMYji6INdecoHZI"
            "4/Hz41N0O9fmTfC9/9Pq2sdujebQB+tjfF+c6eM+2BBfY7ml9tCVeU/9U+OMjvy5WH+jdt/mxZPvAADrCNws"
        ),
        "turned": (
            "eNpjYGCQSSupLMhIzUxmAILczDRDEDs3MzGNgYHxRG5qSSIDBChmpOQUQdkMBZnJJQxowCQzJx9siIsDAxMDI4jF+AZCA1kiQDEg"
            "YGaAiTCoALFFZmZeGpgHkhUFclLByoBqMsqSDRmQBBlBSlwrMsHK+QoyS3IZoCoZ2TMLigqA7GeZBcn5QLoMqNeZkRkkNAGsSO4D"
            "w5+/P34wMPAzJwB1SDgw8jD+/w9SwAxSwQxCcruYHBKBklpOjIxoMgsUGlmnvXqybOcOjgwDBaAQM4hgUEwCKmdzYTxYfKATaIlw"
            "cn5OUV5yTgVQlJeBrQEoJJJZXJAK9a4DFGsk5ySCXKYAcTyDAYj+////A1AgAOkP0MAQKMisyAQHGQcHB5DizCzKLwG6h0EysyAX"
            "FimMDIxsjUzMrC1tQI5UZlFqGlSCLzmlOBkcDaAAcshNSQTGF6OABuN6NotnPBenKvFKVObIi2dv8k5nkC2K5mtkSip6+tew++D0"
            "kyXbF6ct8j7HmDgvRJL5y8n/czqq/t6vmf+P3//K9yl8au/dV83e+f+q9wbtx4eS/Bc3/czd+fVpXMyyp78CPufeK7FQFTySz7Vw"
            "8oQX8ldnbGF4aWyWE3+jPMfJ4fVaw8gNL4oT6wS/uB3eJ87gOMdH7mJCTGwtU/qCng1z5Xd6SDLnneW9kNe88dfzdu1pDFtq7hld"
            "OSR2bp9GUOQkQW1V86/d4s+rJgorfp6b+fTSK747Ow/PkU/cJNQkfPq8eIXW/WUGc54Y3HTMzeELcdvRI3ClZL6Qf72Jgf6zidNK"
            "/rlvajm3sc3ifeztQkvH8xsaV3OnqTz4KQ0MKTZImvL1ZdAC8jgYGBmFQNEOilpIUAIAoPPc9g=="
        ),
        "mirrored": (
            "eNpjYGCQSSupLMhIzUxmAILczDRDEDs3MzGNgYHxRG5qSSIDBChmpOQUQdkMBZnJJQxowCQzJx9siIsDAxMDI4jF+AZCA1liQDEg"
            "YGaCiTCoALFFZmZeGpgHkhUFclLByoBqMsqSDRmQBBlBSlwrMsHK+QoyS3IZoCoZ2TMLigqA7GeZBcn5QLoMqNeZkRkkNAGsSO4D"
            "w5+/P34wMPAzJwB1SDgw8jD+/w9SwAxSwQxCcruYHBKBklpOjIxoMgsUGlmnvXqybOcOjgwDBaAQM4hgUEwCKmdzYTxYfKATaIlw"
            "cn5OUV5yTgVQlJeBrQEoJJJZXJAK9a4DFGsk5ySCXGYAcTyDAoj+////B1AgAOkH0MAQKMisyAQHGQcHB5DizMzNLAJpkMwsyIVF"
            "CiMDI1sjEzNrSxuQI5VZlJoGleBLTilOBkcDKICcclMSgfHFKKTBuJ7N4umli1PVtZcv4H877Rzvw/3cKx0W61Z63ayu/nqePZtj"
            "zeRf+wzXT2FuPi8ptd5I5LRt46v70+zezV+j/yGj0uFxwHNba5M3RRvPnpaJnCI8I7GiOuuT5hvP1LVHfqteW6sfpZiXeeHDFXnt"
            "pQHm4bLP7r4MP+nxjjtIxThUYUfZt09RTLeFEgWbd2dMdz0RMum5yLL13RHPeg9o8dzVOPhD3ClEeuLl/9tftIvPv8TV3L0tPmfi"
            "OdXWvU/1Z0vlB8z+uGu238F9ayY+YFWW3t4kszvzxqdLWzIrVj1bl33uVHfLrUOaxi3RCmLPYndK7ws5r/t24rnve+Z5d5rEhMVW"
            "8+68/b5AV//BKuHqNu5F/Gmxs7oLXlaonE8BhTobJFX5+jJoAXkcDIyMQqCIh6Q4EAAArrjjBg=="
        ),
        "alpha": (
            "eNpjYGCQSSupLMhIzUxmAILczDRDEDs3MzGNgYEpOze1JJEBAhQzUnKKoGyGgszkEgY0YJKZkw82xMWBgYmBEcRi6ofQDAyMEkAx"
            "IGBeDhNhqAJii8zMvDQwDyQrCuSkgpUB1WSUJRsyoAgyIQT5CjJLchmgKhlXZRYUFQDppsyC5HygWBlQmTMjM1CIYQJYkdwHhj9/"
            "f/xgYOBnTgDqkHBg5GH8/x+kgBmkghmE5HYxOSQCJbWcGBnRZBYoNLJOe/Vk2c4dHBkGCkAhZhDBoJgEVM7mwniw+EAn0BLh5Pyc"
            "orzknAqgKC8DWwNQSCSzuCAV6l0HKNZIzkkEucwA4ngGBRD9////DyAfAukH0MAQKMisyAQHGQcHByjIwZ5iATHn/4B56g/CU+IQ"
            "T4EUMINVAN0O85Mq0E+oEgeaWMSiV0+a9ewA0J08DSDBFlTv8MHsZwRZqZ5YWuEM4pUW5VnlFqSmW2WkliVbGRkYmloBpTJTrMDx"
            "opBZkAtLMMA0wNrIxMzawsDE2sbM3tECFJPKLEpNg8rzAfXlgFMKKA5n5aYkApMUo4gG43o2i04B+TfOrRPCPBcUnub7zDNhW3nj"
            "RQO+qHDL84+yb21fFMcTu/nVlOk/tmlUTliW/uVN/z+JaOG82vYdUtvcXMqa+922W8usKV7wuFvnpTqrkbC0kdBhE7P7d1z3/Tg4"
            "/3O59tN/Xilz+n+/f6xi0Kp1yn/a9jvPJ/3+kszVxPomNm1qWnqQUjjP8XNlrw667k77n8HefGPuo5UWf59FWN5afjl/Ie8XzxtG"
            "l9o3vXFT4G3+F2hstXmDVvmBqfUlagcPZL6bIZa8bZWLZcmD6V4bd/4oXTJLm+Fc9CSGowtizTUnqB3SePz8+BTdzrV5E3zv/7S6"
            "9rFbozn0wfoY3xdn+rgPNsTXWG6pPXRl3lP/1DijI38u1t+o3bd58eQ7oDStwbiOp2CL1uu/rhvKHTO4Oow38/N33o2SVFmgve2s"
            "+I/d9dMK/pW/3zgpb8epvM8BdYzyb+d7/886/lsptPTJh9l67hpSlSvunjjquupf+FmN2KK3mY2iPqZ9kjWn/S07Fhzddju/8lLW"
            "skfSTisbVBsc3eQnOSUkzPr+AQD760f+"
        ),
        "10 bits": (
            "eNpjYGCQSSupLMhIzaxgAILczDRDEDs3MzGNgYGxJje1JJEBAhQzUnKKoGyGgszkEgY0oJSZk58MYrg4MDACIRAwLoDQQJYskFDO"
            "zMxLg3CBWBTISWWC8jLKkg1BTL6CzJJcuJI/mQVFBUD6TmZBcj6QLgUqc2Zk4QAy5+4AKZL7wPDn769fDAz8zAlAHeIOjDyM//+D"
            "FDCDVTADlexickgEymk5MTKiSixQaGS5mbfOK3t2Q1szE0jMCEQwCSQBlbO5MB4sPtAJtEM4OT+nKC85pwIoysvA1gAUEsksLkiF"
            "etsBijWScxJBbjWAul0BRP////8DkGYC0g9ANBALFGRWZII0MnNxcQEpicyCXFgYA4ONtZGJmbUFyFTNTUkEhjGjpAbjejaLqFf8"
            "+6Xd+/3ZBD5krH95U/5Np8jpyhz160L/XuvyamqyTP57+Orl/wdtjz1ff/+vfO/lnf7LDGO3BKQGdx+qnWcn/LDV79Bs5cmHXlYl"
            "B3feeCb98NrzGQof/M/qZBee3S32UEZzRnJH0/6Ppj+8w3IXbPmxp3HzGflpnD8PWO/7e+nMkbSKWQel3KdG2awNW5PRtCH9ZMPr"
            "Owsfb2nh+3dglZmIj9YX/adfVph0vTwhfc3u5N+pCbrr+hWf5pxYn3duQkHJsiUP33IZCQcvyP8pOUviS1Zd2Ulhq9frV6yu3/q/"
            "v3x6CZ8cH+NEwZhgntbm/2837l14vnTlTMHYFO3Xb8zMQ5ynKAusNAt2rBO6uqBk78OOhz0Sp3fF1JRPc43NrQAAge/fwg=="
        ),
        "gray": (
            "eNpjYGCQSSupLMhIzaxgAILczDRDEDs3MzGNgYGxNDe1JJEBAhQzUnKKoGyGgszkEgY0oJSZk58MYrg4MDACIRAwzoTQQHAKiJUz"
            "M/PSwDyQqCiQk8oE5WWUJRuCmHwFmSW5cCVfMwuKCoD01cyC5HyQtUBlzowsHEDm/B8gRXIfGP78+QFk8jMnAHWIOzDyMP7/D1LA"
            "DFbBDFSyi8khESin6sTIiCpxoIlFLHr1pFnPDjQwMPA0gARbkoAq2VwYDxYf6AQaL5ycn1OUl5xTARTlZWADKmEQySwuSIX6yQGK"
            "NZJzEkHONIA6WwFE/////wOQZgLSD0A0xHMVmWC/gXwgkVmQCwtcYHixNjIxs7YA2ZdyUxJBgXtMg3EdT0HJ9Bvf38308X/NZ5PE"
            "Y6z++/Rxz00qP3Wfrg+OSV5XP2/muR8HbwrUVrbHsf5ifxl9b+2sVUde7dvvPGtHaON3/VQbFkuuEP9V+1v/SR4/wDKjcvUj1/4t"
            "180l++rTjvisP11+9/9vRn3DH7aV2UsTkta4MK1fn7ZQ1Vy5QkggL2u/2ukHvFfmKE59GOD+kd23aVLQipo3966672j4Nt33FPu8"
            "r19tCvIUp02Z9YM73u/q03U2IbMW8wQ+3SMt7LfJqv5Rs1/1/jTG9X8Ab6W0kA=="
        ),
        "profile": (
            "eNqVU21sU1UYfm6vZQvrBnFgmrlgmXPWsSWjKG74p25jBjIEJshgDL297W1v7G2vt3ebiy44J1kWjGv4GhKV8hGIRoM604EmZB0a"
            "EkUUMTjJIgsT0GVRdNPUjO36nt7qyBJ++N57znnOc973fDzvOQDyJb1VDfhkEWSKLC1lWJEFCeAHFJ8uwLTFAW9QS2OosqhjlhXI"
            "wXBqkmo3OPrI+OtmC3B2qu6X5ZBkdqkspI7Pku4FmsWlDOaosq7868JXyqqmUlsgq2KYuGZyq+J4ohBNOS26iVtTySQwj3+WIuxu"
            "zsYZBnPgmQfP/kWfWNwCDRZXctyskZij3bpv9Kdjp05mBsocRPGswmIPuc+p5hKR/i7AUi+Gg5qqhWnrltqgqETucpNSIV2re6LS"
            "Ub95iyNjFFnIQy4ewUJBjKiPr1tXizvaX5dMUS6Wsrnw/yzL64uQyFwm4eWiqlEWONoNalt0leHXCC8QA4KXcIxwiYc2SPgc4zUT"
            "DzPsN/FEit9QV0VnY3M6/Ldhz21YDGiUF4uTcKESbBLT+2EnsflCG5+iNo9KPhTICMEHBzxoIhyEjtIUhzvElaXinkSYYkSqVbRC"
            "owg/AhRbQmwTIqkZJeJ99AXRynSfrWdEWuYyZ7dVAtYfDWP8ASBjNzAVNYzJQ4YxdZjyOwT0h2biw6RT+Z/ER2e4woN0pV4F4mdm"
            "OE8P0NcJ2H9QBc18FXSLYJHoXvxxHMjeDOR+A8xtMLVKj+PI98CGFylFXwFvHACKyH/eVqa7HFF9aT3c6eIUg4Ka1oSdiq1NN9q4"
            "yVailuWOvZn5qvyCnFoiM5Plxy6rivCftpy13cJbaf+cQ/EK7F4scHIn5pR3zb9vrGpH9OlVsee/zBm3ReMt7RfKcrZsqvj66nOX"
            "+w5vszX2ju7pScadrdFj/omx7ml7Q26orfNkXrymurmju6bvsfz3IrGRnSW/PGh15d7ruvvMw8uvDK08nUwcHG9Zcm16tffN7snf"
            "RgrLdhR/sXZf39CNXZMT4txXrGON0l7JX1ewyXb2fPNoYuWnkhHI6Bh86+o75VPX6ysuH78YPpQ9sWrQ9W3nR2M1juyO6fXLVvR+"
            "UNzSv3e7XpTol3/df48Yf7e6Qh/uWf3hqWTT0QNLcL5hFz6PNT76ULRowDly4+ye0q73Q9E1V/5ecen3nc6OjcMntq75+dzrWYmX"
            "n3mp4uO2ge/evrbWt8312a0L2wfbTvce2T30D2HmQ5g="
        ),
        "two images": (
            "eNpjYGCQSSupLMhIzUxmAILczDRDEDs3MzGNgYHJMze1JJEBAhQzUnKKoGyGgszkEgY0YJKZkw82xMWBgYmBEcRiyoXQDAyMEkAx"
            "IGBuhYkwmAOxRWZmXhqYB5IVBXJSwcqAajLKkg0ZUASZEIJ8BZkluQxQlYyLMguKCoB0VWZBcj5QrAyozJmRGSjEMAGsSO4Dw5+/"
            "P34wMPAzJwB1SDgw8jD+/w9SwAxSwQxCcruYHBKBklpOjIxoMgsUGlmnvXqybOcOjgwDBaAQM4hgUEwCKmdzYTxYfKATaIlwcn5O"
            "UV5yTgVQlJeBrQEoJJJZXJAK9a4DFGsk5ySCXGYAcTyDAoj+////B5APgfQDaGAIFGRWZIKDjIODA0iVUuIpTVyeWjfr2QPFBQeA"
            "juVpAAm3wP10sBPJsSJQx4pAHXsF6tgrUMcqZBbkwhIKMO5ZG5mYWVsYmFjbgHQ7UEt4bkoiMMEwimgwrmez6BSQf+PcOiHMc0Hh"
            "ab7PPBO2lTdeNOCLCrc8/yj71vZFcTyxm19Nmf5jm0blhGXpX970/5OIFs6rbd8htc3Npay53227tcya4gWPu3VeqrMaCUsbCR02"
            "Mbt/x3Xfj4PzP5drP/3nlTKn//f7xyoGrVqn/Kdtv/N80u8vyVxNrG9i06ampQcphfMcP1f26qDr7rT/GezNN+Y+Wmnx91mE5a3l"
            "l/MX8n7xvGF0qX3TGzcF3uZ/gcZWmzdolR+YWl+idvBA5rsZYsnbVrlYljyY7rVx54/SJbO0Gc5FT2I4uiDWXHOC2iGNx8+PT9Ht"
            "XJs3wff+T6trH7s1mkMfrI/xfXGmj/tgQ3yN5ZbaQ1fmPfVPjTM68udi/Y3afZsXT74DDDNjULgYibWbdCp82L+V5f//byH/U/9M"
            "j9ocrb5O8Ffy8SfbJ0yc9yW+WiLoqU2Jwpc5wTvPNgAAbH0gKw=="
        ),
    }.items()
}
"""The files by name: plain, turned by 90 degrees, mirrored, with alpha (which grows to the right like red),
with 10 bits a channel, gray, with a profile that exchanges red and blue, and with a second image."""

LARGE = zlib.decompress(
    base64.b64decode(
        "eNrt2U9Ik3Ecx/Hv73mWLlv+lww8NK3YoUIxiMjDQxp1KokIKwzn3NoDmz6sEbM/sCAIQsK6JB1EIiIqsGMJgUWHkA4hHaSTRHUI"
        "gp1ih2T9HrUO3oOeH+/5xj3bHhU/L6YORaQtlR/30kk3IfqSdVNd/nHWjadE1EA2mY/L2iWaHsnk1o/FcxN52XBpdzNjq5+kzxGl"
        "3/RFXV27Fqkc0u86XHc0tXrTv7dF30ha67fSlxJd/mGt5+azf09Zcr2cp69ful5iTF9f1qf1Ktu/a3L1pMWS/Fopl0Xq7CH9Ea2O"
        "iqhKxT/B9s+w/RbnLCeuH9x7WKkNj8zI4BsJL5wZfXj3/rfl6Mx8USRS9B+6Maw/orpPvc49H3b0F2pKjGVyo4lMQd+9Var0OdLs"
        "XvSSa9/dvmX9zcX0Qb3nFlz/HjscDuurba6X/TOg3iR03bJDeoze7Ehc71c5EFOzVZ0ND64MHr/ZfW/ha268Z/pEx513X3IH224f"
        "/U8O2s/d+vlk7kd0z+7Z4ZPlV9H18SjwTRW3X3sWzTCFSVnT+p06zxCmVJgXaR1iCSPq1pAXiixhQkf0E/MzO5hQTVpUgR1MqHde"
        "1DI7GJDaJdZZZjBB8qlYE8xgwqvLT2I9ZgYTJL+L9ZYZgl8oJNYSQxgA+V6sEkMEv0094v+bhyECD/lR7AhDBL/wMbF3METwqz4l"
        "9k6GCH5VE2L3METw2zwltsMQBkAuiVVmiOC3BUhjIHkdaUKRNK8jjah2QOxmhjDgGRkD0ojqXohdzxAGQIaBNKL6SX60GlFDCUgj"
        "au4Xu5UhDID8AKQxkPw/0oCaOoE0okb9jIwxRPBrKQFpzMsPIA35Y6eTIcz4HQkkkAQkAUlAAklAEpAEJJAEJAFJQBKQQBKQBCQB"
        "CSQBSUASkEASkAQkAUlAAklAEpAEJJAEJAFJQALJEEASkAQkAQkkAUlAEpBAEpAEJAFJQAJJQBKQBCSQBCQBSUACSUASkAQkAQkk"
        "AUlAEpBAEpAEJAEJJEMASUASkAQkkAQkAUlAAklAEpAEJAEJJAFJQBKQQBKQBCQBCSQBSUASkAQkkAQkAUlAAklBglQDK49O1zj7"
        "HeYgon9bY/9vlZovrA=="
    )
)
"""A gray picture of 12000 x 9000 pixels."""
