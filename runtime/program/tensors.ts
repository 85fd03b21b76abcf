/** Weights as they lie in a directory: one safetensors file of a known name, or a refusal that names what lies there instead. */
import { refuse } from '../error.ts'
import type { ByteSource, Files } from '../host/files.ts'
import { isFile, openSource, readBytes } from './files.ts'
import { joinPath } from './path.ts'

export const MODEL_WEIGHTS = 'model.safetensors'
export const ADAPTER_WEIGHTS = 'adapter_model.safetensors'

const PICKLE = "PyTorch's pickle, which can run code and which Kerf does not open"
const OTHER = 'in a format that Kerf does not read'
const SEVERAL = 'the index of weights in several files'

/** What else tools save weights as, the likeliest first. */
const INSTEAD: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  [MODEL_WEIGHTS]: [
    ['model.safetensors.index.json', SEVERAL], ['pytorch_model.bin', PICKLE], ['pytorch_model.bin.index.json', PICKLE],
    ['model.bin', PICKLE], ['pytorch_model.safetensors', 'a file of another name'],
    ['adapter_model.safetensors', 'an adapter, which goes with --adapter'], ['tf_model.h5', OTHER], ['flax_model.msgpack', OTHER],
    ['model.onnx', OTHER], ['bert_model.ckpt.index', OTHER], ['model.ckpt.index', OTHER],
  ],
  [ADAPTER_WEIGHTS]: [
    ['adapter_model.safetensors.index.json', SEVERAL], ['adapter_model.bin', PICKLE], ['adapter_model.pt', PICKLE],
    ['pytorch_model.bin', PICKLE], ['model.safetensors', 'a whole model, which goes with --model'],
  ],
}

/** Refuses `weights-file` where `name` is not in a directory and another form of it is. */
async function expectWeights(files: Files, directory: string, name: string): Promise<string> {
  const path = joinPath(directory, name)
  if (await isFile(files, path)) return path
  for (const [other, what] of INSTEAD[name]) {
    if (!await isFile(files, joinPath(directory, other))) continue
    refuse('weights-file', path, `${name}, one file, as save_pretrained of transformers and PEFT writes it`, `${other}: ${what}`)
  }
  return path
}

/** Opens a directory's weights; whoever opens them closes them. */
export async function openTensors(files: Files, directory: string, name: string): Promise<ByteSource> {
  return openSource(files, await expectWeights(files, directory, name))
}

export async function readTensors(files: Files, directory: string, name: string): Promise<Uint8Array<ArrayBuffer>> {
  return readBytes(files, await expectWeights(files, directory, name))
}
