"""
PyTorch on one core as a participant: answers the requests of protocol.ts, a JSON object a line.

The numbers are those of numbers.ts. A block is plain torch.nn modules with LoRA parameters; gradients are wanted for
these and for the input only. S sequences, T rows of the longest, C width, H heads.
"""

import json
import math
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy
import torch
import torch.nn.functional as functional

torch.set_num_threads(1)
torch.set_num_interop_threads(1)

CHUNK = 1 << 22


def seed_of(name):
    seed = 0x811C9DC5
    for char in name:
        seed = ((seed ^ ord(char)) * 0x01000193) & 0xFFFFFFFF
    return seed


def uniform(seed, begin, end):
    x = numpy.arange(begin + 1, end + 1, dtype=numpy.uint32) * numpy.uint32(0x9E3779B1) ^ numpy.uint32(seed)
    x = (x ^ (x >> numpy.uint32(16))) * numpy.uint32(0x7FEB352D)
    x = (x ^ (x >> numpy.uint32(15))) * numpy.uint32(0x846CA68B)
    return (((x ^ (x >> numpy.uint32(16))) >> numpy.uint32(8)) / 8388608.0) - 1


def draw(tensor):
    count = math.prod(tensor["shape"])
    values = numpy.empty(count, dtype=numpy.float32)
    seed = seed_of(tensor["name"])
    for begin in range(0, count, CHUNK):
        end = min(begin + CHUNK, count)
        values[begin:end] = tensor["center"] + tensor["scale"] * uniform(seed, begin, end)
    return torch.from_numpy(values.reshape(tensor["shape"]))


def check(values):
    flat = values.detach().reshape(-1).double().numpy()
    signed = float(flat @ uniform(seed_of("check"), 0, flat.size))
    return {"size": float(abs(flat).sum()), "signed": signed, "norm": float(math.sqrt(flat @ flat))}


class LoraLinear(torch.nn.Module):
    def __init__(self, inputs, outputs, adapter=None):
        super().__init__()
        self.base = torch.nn.Linear(inputs, outputs)
        self.scale = 0.0
        if adapter is not None:
            self.lora_A = torch.nn.Parameter(torch.empty(adapter["rank"], inputs))
            self.lora_B = torch.nn.Parameter(torch.empty(outputs, adapter["rank"]))
            self.scale = adapter["alpha"] / adapter["rank"]

    def forward(self, x):
        y = self.base(x)
        return y + functional.linear(functional.linear(x, self.lora_A), self.lora_B) * self.scale if self.scale else y


class Block(torch.nn.Module):
    """Modules bear the names of Hugging Face's tensors, dots replaced by `_`."""

    def __init__(self, config, adapter=None):
        super().__init__()
        C, F = config["hiddenSize"], config["intermediateSize"]
        self.heads = config["heads"]
        targets = adapter["targets"] if adapter else []
        for key in ("query", "key", "value"):
            setattr(self, f"attention_self_{key}", LoraLinear(C, C, adapter if key in targets else None))
        self.attention_output_dense = LoraLinear(C, C)
        self.attention_output_LayerNorm = torch.nn.LayerNorm(C, config["layerNormEps"])
        self.intermediate_dense = LoraLinear(C, F)
        self.output_dense = LoraLinear(F, C)
        self.output_LayerNorm = torch.nn.LayerNorm(C, config["layerNormEps"])

    def forward(self, x, mask=None):
        S, T, C = x.shape
        part = lambda y: y.view(S, T, self.heads, C // self.heads).transpose(1, 2)
        query, key, value = (part(getattr(self, f"attention_self_{name}")(x)) for name in ("query", "key", "value"))
        scores = query @ key.transpose(2, 3) / math.sqrt(C // self.heads)
        chances = functional.softmax(scores if mask is None else scores + mask, dim=-1)
        context = (chances @ value).transpose(1, 2).reshape(S, T, C)
        hidden = self.attention_output_LayerNorm(self.attention_output_dense(context) + x)
        return self.output_LayerNorm(self.output_dense(functional.gelu(self.intermediate_dense(hidden))) + hidden)

    def place(self, prefix, tensors):
        """Sets the parameters from descriptions; those of adapters alone want a gradient."""
        for tensor in tensors:
            module, _, parameter = tensor["name"][len(prefix):].rpartition(".")
            owner = getattr(self, module.replace(".", "_"))
            if isinstance(owner, LoraLinear) and parameter in ("weight", "bias"):
                owner = owner.base
            getattr(owner, parameter).data = draw(tensor)
            getattr(owner, parameter).requires_grad_(parameter.startswith("lora"))


def prefix_of(block):
    return f"encoder.layer.{block}."


def prepare_product(work):
    a, b = draw(work["a"]), draw(work["b"])
    if work["form"] == "forward":
        run = lambda: functional.linear(a, b)
    elif work["form"] == "input":
        run = lambda: a @ b
    else:
        run = lambda: a.t() @ b
    return run, lambda: {"out": check(run())}, 1


def pad(values, lengths, T):
    padded = torch.zeros(len(lengths), T, values.shape[1])
    at = 0
    for sequence, length in enumerate(lengths):
        padded[sequence, :length] = values[at:at + length]
        at += length
    return padded


def prepare_block(work):
    prefix = prefix_of(work["block"])
    block = Block(work["config"], work["adapter"])
    block.place(prefix, work["weights"] + work["lora"])
    batches = []
    for lengths, x, d_out in zip(work["batches"], work["xs"], work["dOuts"]):
        T = work["padded"] or max(lengths)
        inside = torch.arange(T)[None, :] < torch.tensor(lengths)[:, None]
        mask = None if bool(inside.all()) else torch.zeros(inside.shape).masked_fill(~inside, -math.inf)[:, None, None, :]
        batches.append((pad(draw(x), lengths, T).requires_grad_(), pad(draw(d_out), lengths, T), mask, inside))

    def step(x, d_out, mask):
        x.grad = None
        block.zero_grad(set_to_none=True)
        out = block(x, mask)
        out.backward(d_out)
        return out

    def run():
        for x, d_out, mask, _ in batches:
            step(x, d_out, mask)

    def checks():
        x, d_out, mask, inside = batches[0]
        out = step(x, d_out, mask)
        found = {"out": check(out[inside]), "dx": check(x.grad[inside])}
        for tensor in work["lora"]:
            module, _, parameter = tensor["name"][len(prefix):].rpartition(".")
            found[f"{module}.{parameter}"] = check(getattr(getattr(block, module.replace(".", "_")), parameter).grad)
        return found

    return run, checks, len(batches)


def prepare_model(work):
    config = work["config"]
    drawn = {tensor["name"]: tensor for tensor in work["weights"] if tensor["name"].startswith("embeddings.")}
    words, positions, types, gain, bias = (draw(drawn[f"embeddings.{name}"]) for name in (
        "word_embeddings.weight", "position_embeddings.weight", "token_type_embeddings.weight", "LayerNorm.weight", "LayerNorm.bias"))
    blocks = [Block(config) for _ in range(config["layers"])]
    for index, block in enumerate(blocks):
        prefix = prefix_of(index)
        block.place(prefix, [tensor for tensor in work["weights"] if tensor["name"].startswith(prefix)])
    ids = torch.tensor(work["ids"])

    def run():
        with torch.no_grad():
            x = words[ids] + positions[: len(ids)] + types[0]
            x = functional.layer_norm(x, (config["hiddenSize"],), gain, bias, config["layerNormEps"])[None]
            for block in blocks:
                x = block(x)
            return x

    return run, lambda: {"out": check(run())}, 1


PREPARE = {"product": prepare_product, "block": prepare_block, "model": prepare_model}


def time_task(run, steps, at_least_ms):
    begin = time.perf_counter()
    runs = 0
    while True:
        run()
        runs += 1
        took_ms = (time.perf_counter() - begin) * 1000
        if took_ms >= at_least_ms:
            return {"ms": took_ms / runs / steps, "runs": runs}


def answer(request, task):
    if request["ask"] == "prepare":
        task = PREPARE[request["work"]["kind"]](request["work"])
        task[0]()
        return task, {"checks": task[1](), "note": "", "version": torch.__version__}
    run, _, steps = task
    return task, time_task(run, steps, request["atLeastMs"])


def serve():
    task = None
    for line in sys.stdin:
        try:
            task, reply = answer(json.loads(line), task)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


serve()
