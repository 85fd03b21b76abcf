"""
Writes test/golden/vectors.safetensors: PyTorch's word on what a BERT with LoRA computes.

The model is written here in plain torch operations. Its forward pass runs twice from the same
float32 weights: in float32 (stored as `out.*`) and in float64. Every gradient comes from the
float64 run and is rounded to float32 once, so it is closer to the truth than any float32
implementation that is compared with it.

Run:  python3 scripts/golden.py [FILE]     (needs only torch; README.md beside the file tells more)

Dimensions: N rows of all sequences, S sequences, V vocabulary, C width, L blocks, H heads,
F hidden width, P positions, T token types, K labels, R LoRA rank, M masked rows.
"""

import json
import math
import pathlib
import struct
import sys

import torch
import torch.nn.functional as functional

SEED = 20240607
V, C, L, H, F, P, T, K, R = 61, 24, 3, 3, 40, 20, 2, 5, 3
LENGTHS = [1, 7, 3, 12, 4]
LABELS = [2, 0, 4, 1, 2]
LORA_ALPHA = 5
LAYER_NORM_EPS = 1e-12
CLS_ID, MASK_ID = 2, 3
MASKED_ROWS = [2, 6, 9, 13, 17, 18, 24]

ADAMW = {"lr": 1e-2, "betas": (0.9, 0.999), "eps": 1e-8}
ADAMW_STEPS = 3
ADAMW_DECAYS = {"plain": 0.0, "decay": 0.1}

BLOCK_LINEARS = {  # name inside a block: (outputs, inputs)
    "attention.self.query": (C, C),
    "attention.self.key": (C, C),
    "attention.self.value": (C, C),
    "attention.output.dense": (C, C),
    "intermediate.dense": (F, C),
    "output.dense": (C, F),
}


# ---- weights and batch ----


def draw_linear(weights, name, outputs, inputs):
    weights[f"{name}.weight"] = torch.randn(outputs, inputs) * 0.2
    weights[f"{name}.bias"] = torch.randn(outputs) * 0.1


def draw_layer_norm(weights, name):
    weights[f"{name}.weight"] = 1 + torch.randn(C) * 0.2
    weights[f"{name}.bias"] = torch.randn(C) * 0.1


def draw_encoder():
    """The frozen model: large weights, so that no gradient is lost below the tolerances."""
    weights = {
        "embeddings.word_embeddings.weight": torch.randn(V, C) * 0.2,
        "embeddings.position_embeddings.weight": torch.randn(P, C) * 0.2,
        "embeddings.token_type_embeddings.weight": torch.randn(T, C) * 0.2,
    }
    draw_layer_norm(weights, "embeddings.LayerNorm")
    for layer in range(L):
        for name, (outputs, inputs) in BLOCK_LINEARS.items():
            draw_linear(weights, f"encoder.layer.{layer}.{name}", outputs, inputs)
        draw_layer_norm(weights, f"encoder.layer.{layer}.attention.output.LayerNorm")
        draw_layer_norm(weights, f"encoder.layer.{layer}.output.LayerNorm")
    return weights


def draw_lora():
    """B is not zero, as it would be at the start of training: else A would get no gradient."""
    lora = {}
    for layer in range(L):
        for name, (outputs, inputs) in BLOCK_LINEARS.items():
            lora[f"encoder.layer.{layer}.{name}.lora_A"] = torch.randn(R, inputs) * 0.2
            lora[f"encoder.layer.{layer}.{name}.lora_B"] = torch.randn(outputs, R) * 0.2
    return lora


def draw_classifier():
    head = {}
    draw_linear(head, "pooler.dense", C, C)
    draw_linear(head, "classifier", K, C)
    return head


def draw_masked_head():
    head = {}
    draw_linear(head, "cls.predictions.transform.dense", C, C)
    draw_layer_norm(head, "cls.predictions.transform.LayerNorm")
    head["cls.predictions.bias"] = torch.randn(V) * 0.1
    return head


def draw_batch():
    """A ragged batch: rows of all sequences one after another, sequence s in offsets[s]..offsets[s+1]."""
    offsets = [0]
    for length in LENGTHS:
        offsets.append(offsets[-1] + length)
    ids = torch.randint(4, V, (offsets[-1],), dtype=torch.int32)
    ids[torch.tensor(offsets[:-1])] = CLS_ID
    types = torch.zeros(offsets[-1], dtype=torch.int32)
    for begin, end in zip(offsets, offsets[1:]):
        types[(begin + end + 1) // 2 : end] = 1
    return {
        "ids": ids,
        "types": types,
        "offsets": torch.tensor(offsets, dtype=torch.int32),
        "labels": torch.tensor(LABELS, dtype=torch.int32),
    }


# ---- forward ----


def linear(weights, name, x):
    """y = x Wᵀ + b + alpha/R · (x Aᵀ) Bᵀ, the last term where there is an adapter (LoRA, Hu et al. 2021, 4.1)."""
    y = functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])
    if f"{name}.lora_A" in weights:
        low = functional.linear(x, weights[f"{name}.lora_A"])
        y = y + LORA_ALPHA / R * functional.linear(low, weights[f"{name}.lora_B"])
    return y


def layer_norm(weights, name, x):
    return functional.layer_norm(x, (C,), weights[f"{name}.weight"], weights[f"{name}.bias"], LAYER_NORM_EPS)


def embed(weights, batch):
    positions = torch.cat([torch.arange(length) for length in LENGTHS])
    rows = (
        functional.embedding(batch["ids"].long(), weights["embeddings.word_embeddings.weight"])
        + functional.embedding(positions, weights["embeddings.position_embeddings.weight"])
        + functional.embedding(batch["types"].long(), weights["embeddings.token_type_embeddings.weight"])
    )
    return layer_norm(weights, "embeddings.LayerNorm", rows)


def attend(query, key, value):
    """One sequence: [rows, C] each, head h in columns h·C/H and on."""
    query, key, value = (rows.reshape(-1, H, C // H).transpose(0, 1) for rows in (query, key, value))
    scores = query @ key.transpose(1, 2) / math.sqrt(C // H)
    context = functional.softmax(scores, dim=-1) @ value
    return context.transpose(0, 1).reshape(-1, C)


def run_block(weights, layer, hidden):
    name = f"encoder.layer.{layer}"
    query, key, value = (
        linear(weights, f"{name}.attention.self.{part}", hidden).split(LENGTHS) for part in ("query", "key", "value")
    )
    context = torch.cat([attend(*rows) for rows in zip(query, key, value)])
    attended = linear(weights, f"{name}.attention.output.dense", context)
    hidden = layer_norm(weights, f"{name}.attention.output.LayerNorm", attended + hidden)
    inner = functional.gelu(linear(weights, f"{name}.intermediate.dense", hidden))
    return layer_norm(weights, f"{name}.output.LayerNorm", linear(weights, f"{name}.output.dense", inner) + hidden)


def encode(weights, batch):
    """L+1 hidden states: after the embeddings, then after each block."""
    hidden = [embed(weights, batch)]
    for layer in range(L):
        hidden.append(run_block(weights, layer, hidden[-1]))
    return hidden


def classify(weights, batch):
    hidden = encode(weights, batch)
    first = hidden[-1][batch["offsets"][:-1].long()]
    pooled = torch.tanh(linear(weights, "pooler.dense", first))
    logits = linear(weights, "classifier", pooled)
    loss = functional.cross_entropy(logits, batch["labels"].long())
    return {"hidden": hidden, "pooled": pooled, "logits": logits, "loss": loss}


def predict_masked(weights, batch):
    """The decoder is the word embedding itself, so that tensor's gradient has two sources."""
    hidden = encode(weights, batch)
    rows = hidden[-1][batch["rows"].long()]
    rows = functional.gelu(linear(weights, "cls.predictions.transform.dense", rows))
    rows = layer_norm(weights, "cls.predictions.transform.LayerNorm", rows)
    logits = functional.linear(rows, weights["embeddings.word_embeddings.weight"], weights["cls.predictions.bias"])
    loss = functional.cross_entropy(logits, batch["targets"].long())
    return {"hidden": hidden, "logits": logits, "loss": loss}


# ---- cases: each returns name → tensor ----


def flatten_outputs(run):
    flat = {name: value for name, value in run.items() if name != "hidden"}
    flat.update({f"hidden.{cut}": value for cut, value in enumerate(run["hidden"])})
    return flat


def trace_model(forward, weights, batch, prefix=""):
    """Outputs of `forward` in float32, logits and loss also in float64, gradients of the loss from float64."""
    with torch.no_grad():
        single = flatten_outputs(forward(weights, batch))
    leaves = {name: value.double().requires_grad_() for name, value in weights.items()}
    double = flatten_outputs(forward(leaves, batch))
    sources = {**leaves, **{name: value for name, value in double.items() if name.startswith("hidden.")}}
    gradients = torch.autograd.grad(double["loss"], list(sources.values()))

    tensors = {f"{prefix}out.{name}": value for name, value in single.items()}
    tensors[f"{prefix}out.logits.f64"] = double["logits"].detach()
    tensors[f"{prefix}out.loss.f64"] = double["loss"].detach()
    tensors.update({f"{prefix}grad.{name}": value.float() for name, value in zip(sources, gradients)})
    return tensors


def trace_classification(encoder, batch):
    weights = {**encoder, **draw_lora(), **draw_classifier()}
    tensors = {f"in.{name}": value for name, value in batch.items()}
    tensors.update({f"weight.{name}": value for name, value in weights.items()})
    tensors.update(trace_model(classify, weights, batch))
    return tensors


def trace_masked(encoder, batch):
    """The same frozen encoder and batch without adapters, some rows masked."""
    rows = torch.tensor(MASKED_ROWS)
    masked = {
        "ids": batch["ids"].index_fill(0, rows, MASK_ID),
        "rows": rows.int(),
        "targets": batch["ids"][rows],
    }
    head = draw_masked_head()
    tensors = {f"mlm.in.{name}": value for name, value in masked.items()}
    tensors.update({f"mlm.weight.{name}": value for name, value in head.items()})
    tensors.update(trace_model(predict_masked, {**encoder, **head}, {**batch, **masked}, "mlm."))
    return tensors


def trace_adamw():
    """Steps in float64 from float32 inputs; `plain` without and `decay` with weight decay; row t is after step t+1."""
    start = torch.randn(11)
    gradients = torch.randn(ADAMW_STEPS, 11) * 10.0 ** torch.arange(1, -10, -1).float()
    gradients[:, 4] = 0
    tensors = {"adamw.in.parameter": start, "adamw.in.gradient": gradients}
    for case, decay in ADAMW_DECAYS.items():
        parameter = start.double().requires_grad_()
        optimiser = torch.optim.AdamW([parameter], weight_decay=decay, **ADAMW)
        history = {"parameter": [], "exp_avg": [], "exp_avg_sq": []}
        for gradient in gradients:
            parameter.grad = gradient.double()
            optimiser.step()
            values = {"parameter": parameter.detach(), **optimiser.state[parameter]}
            for name, rows in history.items():
                rows.append(values[name].clone())
        tensors.update({f"adamw.{case}.{name}": torch.stack(rows) for name, rows in history.items()})
    return tensors


def trace_functions():
    """
    Scalar functions in float64 at float32 points: −12…12 evenly (exp: all that float32 can hold), and small
    magnitudes of both signs. GELU goes through erfc, because 1 + erf(x/√2) has lost all its digits where x
    is a large negative number.
    """
    small = torch.logspace(-6, -1, 20)
    points = torch.cat([torch.arange(-80, 81) * 0.15, small, -small]).sort().values
    x = points.double()
    cumulative = torch.special.erfc(-x / math.sqrt(2)) / 2
    density = torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    gelu = x * cumulative
    assert torch.allclose(gelu, functional.gelu(x), rtol=0, atol=1e-14)
    exponents = torch.cat([torch.arange(-87.0, 89.0), small, -small]).sort().values
    positive = torch.logspace(-12, 12, 101)
    return {
        "op.points": points,
        "op.tanh": torch.tanh(x),
        "op.erf": torch.erf(x),
        "op.gelu": gelu,
        "op.gelu.grad": cumulative + x * density,
        "op.exp.in": exponents,
        "op.exp": torch.exp(exponents.double()),
        "op.log.in": positive,
        "op.log": torch.log(positive.double()),
    }


def differentiate(function, inputs, d_out):
    leaves = [value.double().requires_grad_() for value in inputs]
    out = function(*leaves)
    return out.detach(), torch.autograd.grad(out, leaves, d_out.double())


def trace_rows():
    """Softmax and LayerNorm over rows, with the gradient for a given gradient of the output."""
    x = torch.randn(6, 13) * 3
    x[1] = 0.25  # all equal
    x[2] += 300  # overflows exp without subtracting the maximum
    x[3, 5] = 90  # one value takes all
    d_out = torch.randn(6, 13)
    softmax, (d_x,) = differentiate(lambda rows: functional.softmax(rows, dim=-1), [x], d_out)
    tensors = {"op.softmax.in": x, "op.softmax.dOut": d_out, "op.softmax": softmax, "op.softmax.grad.in": d_x}

    x = torch.randn(5, 37)
    x[1] += 100  # a mean far above the deviation
    x[2] *= 1e-3
    x[3] *= 1e3
    gain, bias, d_out = 1 + torch.randn(37) * 0.2, torch.randn(37) * 0.1, torch.randn(5, 37)
    norm, grads = differentiate(
        lambda rows, g, b: functional.layer_norm(rows, (37,), g, b, LAYER_NORM_EPS), [x, gain, bias], d_out
    )
    tensors.update({"op.layerNorm.in": x, "op.layerNorm.gain": gain, "op.layerNorm.bias": bias})
    tensors.update({"op.layerNorm.dOut": d_out, "op.layerNorm": norm})
    tensors.update({f"op.layerNorm.grad.{name}": grad for name, grad in zip(("in", "gain", "bias"), grads)})
    return tensors


# ---- file ----

DTYPES = {torch.float64: ("F64", "d"), torch.float32: ("F32", "f"), torch.int32: ("I32", "i")}


def encode_safetensors(tensors, metadata):
    """8 bytes of header length, JSON header padded with spaces, data; wide types first, so that all is aligned."""
    header, data = {"__metadata__": metadata}, bytearray()
    for name in sorted(tensors, key=lambda name: (-tensors[name].element_size(), name)):
        tensor = tensors[name].detach()
        dtype, code = DTYPES[tensor.dtype]
        values = tensor.flatten().tolist()
        begin = len(data)
        data += struct.pack(f"<{len(values)}{code}", *values)
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)


def describe():
    """What a reader needs beside the tensors: every value a string, as the format demands."""
    facts = {
        "torch": torch.__version__,
        "seed": SEED,
        "layers": L,
        "heads": H,
        "layer_norm_eps": LAYER_NORM_EPS,
        "lora_rank": R,
        "lora_alpha": LORA_ALPHA,
        "adamw_lr": ADAMW["lr"],
        "adamw_beta1": ADAMW["betas"][0],
        "adamw_beta2": ADAMW["betas"][1],
        "adamw_eps": ADAMW["eps"],
        "adamw_weight_decay": ADAMW_DECAYS["decay"],
    }
    return {name: str(value) for name, value in facts.items()}


def main():
    torch.set_num_threads(1)  # threads split sums, and with them the last bit
    torch.manual_seed(SEED)
    encoder, batch = draw_encoder(), draw_batch()
    tensors = {
        **trace_classification(encoder, batch),
        **trace_masked(encoder, batch),
        **trace_adamw(),
        **trace_functions(),
        **trace_rows(),
    }
    folder = pathlib.Path(__file__).resolve().parent.parent / "test" / "golden"
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else folder / "vectors.safetensors"
    content = encode_safetensors(tensors, describe())
    path.write_bytes(content)
    print(f"{path}: {len(tensors)} tensors, {len(content)} bytes")


main()
