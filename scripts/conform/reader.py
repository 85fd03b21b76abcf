#!/usr/bin/env python3
"""Runs cases of runtime/conformance/cases.ndjson on kernels written here, from CONFORMANCE.md alone, and compares bits.

    python3 scripts/conform/reader.py [cases.ndjson]

Needs nothing but Python: an f32 is a float that struct has rounded. Exit code 1 where a digest differs.
"""
import json
import math
import struct
import sys
from pathlib import Path

U32 = 0xFFFFFFFF
rotate = lambda x, n: ((x << n) | (x >> (32 - n))) & U32
FORMATS = {'f64': 'd', 'f32': 'f', 'i32': 'i', 'u32': 'I', 'u16': 'H', 'i8': 'b', 'u8': 'B'}


def f32(x):
    return struct.unpack('<f', struct.pack('<f', x))[0]


def mix(seed, i):
    x = (i * 0x9E3779B9 + seed) & U32
    x = (x ^ (x >> 16)) * 0x7FEB352D & U32
    x = (x ^ (x >> 15)) * 0x846CA68B & U32
    return x ^ (x >> 16)


def values_of(tensor):
    """A tensor's values before the call, by its source."""
    count = tensor['count']
    if 'uniform' in tensor:
        u = {'offset': 0, 'halvings': 1, 'zeros': 0, **tensor['uniform']}
        drawn = [((mix(u['seed'], i) >> 8) - 2**23) / 2**23 for i in range(count)]
        return [0.0 if i < u['zeros'] else f32(f32(x * u['scale']) + u['offset']) / 2 ** (i % u['halvings']) for i, x in enumerate(drawn)]
    if 'integers' in tensor:
        n = tensor['integers']
        return [mix(n['seed'], i) % n['limit'] + n['offset'] for i in range(count)]
    if 'counter' in tensor:
        return [i + tensor['counter']['offset'] for i in range(count)]
    if 'bytes' in tensor:
        return list(struct.unpack(f"<{count}{FORMATS[tensor['element']]}", bytes.fromhex(tensor['bytes'])))
    return [math.nan if tensor['element'] in ('f32', 'f64') else 0] * count

def digest(element, values):
    data = struct.pack(f'<{len(values)}{FORMATS[element]}', *values)
    words = list(struct.unpack(f'<{-(-len(data) // 4)}I', data + bytes(-len(data) % 4)))
    if element == 'f32':
        words = [0x7FC00000 if word & 0x7FFFFFFF > 0x7F800000 else word for word in words]
    a = b = 0
    for word in words + [len(data)]:
        k = rotate(word * 0xCC9E2D51 & U32, 15) * 0x1B873593 & U32
        a = (rotate(a ^ k, 13) * 5 + 0xE6546B64) & U32
        k = rotate(word * 0x1B873593 & U32, 15) * 0xCC9E2D51 & U32
        b = (rotate(b ^ k, 13) * 5 + 0xE6546B64) & U32
    return f'{a:08x}{b:08x}'


def fold(terms):
    lanes = [0.0] * 4
    for i, term in enumerate(terms):
        lanes[i % 4] = f32(lanes[i % 4] + term)
    return f32(f32(lanes[0] + lanes[1]) + f32(lanes[2] + lanes[3]))


def product(c, M, N, K, a, b, keep):
    for m in range(M):
        for n in range(N):
            total = c[m * N + n] if keep else 0.0
            for k in range(K):
                total = f32(total + f32(a(m, k) * b(k, n)))
            c[m * N + n] = total


def layer_norm(out, stats, x, gain, bias, N, C, eps):
    for n in range(N):
        row = x[n * C:(n + 1) * C]
        mean = f32(fold(row) / C)
        spread = [f32(value - mean) for value in row]
        rstd = f32(1 / f32(math.sqrt(f32(f32(fold([f32(d * d) for d in spread]) / C) + eps))))
        stats[2 * n:2 * n + 2] = [mean, rstd]
        out[n * C:(n + 1) * C] = [f32(f32(f32(d * rstd) * gain[i]) + bias[i]) for i, d in enumerate(spread)]


def adamw(p, m, v, g, n, keep, b1, r1, b2, r2, step, correction, eps):
    for i in range(n):
        m[i] = f32(f32(b1 * m[i]) + f32(r1 * g[i]))
        v[i] = f32(f32(b2 * v[i]) + f32(r2 * f32(g[i] * g[i])))
        p[i] = f32(f32(keep * p[i]) - f32(step * f32(m[i] / f32(f32(f32(math.sqrt(v[i])) / correction) + eps))))


def gather_backward(dx, d_out, index, count, C):
    for i in range(count * C):
        at = index[i // C] * C + i % C
        dx[at] = f32(dx[at] + d_out[i])


def bias_backward(d_bias, d_out, N, C, stride):
    for i in range(N * C):
        d_bias[i % C] = f32(d_bias[i % C] + d_out[i // C * stride + i % C])


put = lambda out, values: out.__setitem__(slice(None), values)

KERNEL = {
    'fill': lambda out, value, n: put(out, [value] * n),
    'add': lambda out, x, n: put(out, [f32(out[i] + x[i]) for i in range(n)]),
    'addTo': lambda out, x, y, n: put(out, [f32(x[i] + y[i]) for i in range(n)]),
    'scale': lambda out, x, factor, n: put(out, [f32(x[i] * factor) for i in range(n)]),
    'biasBackward': bias_backward,
    'gatherRowsBackward': gather_backward,
    'sumRow': lambda x, n: fold(x[:n]),
    'dotRow': lambda x, y, n: fold([f32(x[i] * y[i]) for i in range(n)]),
    'matmul': lambda out, x, w, N, O, I, keep, _: product(out, N, O, I, lambda n, i: x[n * I + i], lambda i, o: w[o * I + i], keep),
    'matmulBackwardInput': lambda dx, d, w, N, O, I, keep, _: product(dx, N, I, O, lambda n, o: d[n * O + o], lambda o, i: w[o * I + i], keep),
    'matmulBackwardWeight': lambda dw, d, x, N, O, I, keep, _: product(dw, O, I, N, lambda o, n: d[n * O + o], lambda n, i: x[n * I + i], keep),
    'layerNorm': layer_norm,
    'adamw': adamw,
    'averageAdd': lambda total, x, weight, n: put(total, [total[i] + weight * x[i] for i in range(n)]),
    'averageFinish': lambda out, total, weight, n: put(out, [f32(total[i] / weight) for i in range(n)]),
}


def run(case):
    """Names of the tensors whose digest is not the published one."""
    tensors = {name: values_of(tensor) for name, tensor in case['tensors'].items() if 'element' in tensor}
    result = None
    for name, *arguments in case['calls']:
        result = KERNEL[name](*[tensors.get(it) if isinstance(it, str) else it for it in arguments])
    got = {name: digest(case['tensors'][name]['element'], values) for name, values in tensors.items() if name in case['expect']}
    if result is not None:
        got['result'] = digest('f64', [result])
    return [name for name, expected in case['expect'].items() if got.get(name) != expected]


def main():
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / 'runtime/conformance/cases.ndjson'
    cases = [json.loads(line) for line in path.read_text().splitlines()]
    known = [case for case in cases if not case.get('large') and all(call[0] in KERNEL for call in case.get('calls', ['?']))]
    wrong = {case['case']: differing for case in known if (differing := run(case))}
    for name, differing in wrong.items():
        print(f'{name}: {", ".join(differing)} differs')
    print(f'{len(known) - len(wrong)} of {len(known)} cases, {len(KERNEL)} operations')
    return 1 if wrong or not known else 0


sys.exit(main())
