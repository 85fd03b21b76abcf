/** `kerf export`: a trained adapter for others, as a PEFT directory or folded into a whole model. */
import { existsSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { refuse } from '../../../runtime/error.ts'
import { createChecksum } from '../../../runtime/kernel/checksum.ts'
import { formatConfig } from '../../../runtime/model/config.ts'
import { parseObject } from '../../../runtime/object.ts'
import { splitVector } from '../../../runtime/model/layout.ts'
import type { MergeDtype } from '../../../runtime/model/merge.ts'
import { MERGE_DTYPES, mergeTensors } from '../../../runtime/model/merge.ts'
import { encodeAdapter, formatAdapterConfig } from '../../../runtime/model/peft.ts'
import { formatTokenizer } from '../../../runtime/data/tokens.ts'
import { encodeSafetensors } from '../../../runtime/wire/safetensors.ts'
import type { TensorInput } from '../../../runtime/wire/safetensors.ts'
import type { Command } from '../flags.ts'
import { readText, saveAtomic } from '../host.ts'
import { openNodeKernel } from '../kernel.ts'
import type { Model } from '../model.ts'
import { readTokenizerFiles } from '../model.ts'
import type { Trained, TrainedAdapter } from '../trained.ts'
import { TRAINED_FLAGS, openTrained } from '../trained.ts'

type Written = { file: string; bytes: number }

/** Writes files whole, in their order; weights come last, so that a directory with weights is complete. */
function writeFiles(directory: string, files: Readonly<Record<string, string | Uint8Array>>): Written[] {
  return Object.entries(files).map(([name, content]) => {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
    const file = join(directory, name)
    saveAtomic(file, bytes)
    return { file, bytes: bytes.length }
  })
}

function exportAdapter({ model, labels, named }: Trained, { config, layout, vector }: TrainedAdapter, out: string): Written[] {
  return writeFiles(out, {
    'adapter_config.json': formatAdapterConfig(config, model.name),
    ...(named ? { 'labels.json': `${JSON.stringify(labels)}\n` } : {}),
    'adapter_model.safetensors': encodeAdapter(splitVector(layout, vector), model.config, config, labels.length),
  })
}

/** What the merged model's own config.json says, over what the base's says, over Kerf's defaults. */
function mergeConfig({ directory, config }: Model, labels: readonly string[], dtype: MergeDtype): string {
  const file = join(directory, 'config.json')
  const own = JSON.parse(formatConfig({ ...config, labels })) as Record<string, unknown>
  // `dtype` is the newer name of `torch_dtype`; one of them says what the file holds.
  const { dtype: _, _name_or_path: __, ...base } = parseObject(readText(file), file)
  const { architectures, id2label, label2id, problem_type } = own
  const torch_dtype = dtype === 'f32' ? 'float32' : 'float16'
  return `${JSON.stringify({ ...own, ...base, architectures, id2label, label2id, problem_type, torch_dtype }, null, 2)}\n`
}

/** tokenizer.json always, so that none of an earlier export stays; the others as the base has them, or what they must say. */
function tokenizerFiles(model: Model): Record<string, string> {
  const files = readTokenizerFiles(model.directory)
  const lowercase = parseObject(formatTokenizer(files), 'tokenizer.json', Infinity).normalizer as { lowercase?: boolean }
  const defaults = {
    tokenizer_class: 'BertTokenizer', do_lower_case: lowercase.lowercase ?? true, model_max_length: model.config.positionsMax,
    cls_token: '[CLS]', mask_token: '[MASK]', pad_token: '[PAD]', sep_token: '[SEP]', unk_token: '[UNK]',
  }
  const given = files.tokenizerConfig === undefined ? {} : parseObject(files.tokenizerConfig, 'tokenizer_config.json')
  return {
    ...(files.vocabText === undefined ? {} : { 'vocab.txt': files.vocabText }),
    'tokenizer.json': formatTokenizer(files),
    'tokenizer_config.json': `${JSON.stringify({ ...defaults, ...given }, null, 2)}\n`,
  }
}

async function exportMerged({ model, labels }: Trained, { config, layout, vector }: TrainedAdapter, dtype: MergeDtype, out: string): Promise<Written[]> {
  const tensors: TensorInput[] = []
  for await (const tensor of mergeTensors(model.config, model.weights, labels.length, config, splitVector(layout, vector), dtype)) tensors.push(tensor)
  const weights = encodeSafetensors(tensors, { format: 'pt' })
  return writeFiles(out, { 'config.json': mergeConfig(model, labels, dtype), ...tokenizerFiles(model), 'model.safetensors': weights })
}

/** Refuses to write over the base model, and beside an adapter that transformers would load on top of the merged weights. */
function checkOut(out: string, model: Model, merge: boolean): void {
  if (existsSync(out) && realpathSync(out) === realpathSync(model.directory)) refuse('export-out', '--out', "another directory than the model's own", out)
  if (merge && existsSync(join(out, 'adapter_config.json'))) {
    refuse('export-out', '--out', 'a directory without adapter_config.json, which transformers would apply to the merged weights again', out)
  }
}

export const exportCommand: Command = {
  summary: 'write a trained adapter as a PEFT directory, or merged as a Hugging Face model',
  flags: {
    ...TRAINED_FLAGS,
    adapter: { type: 'string', value: 'DIR', help: 'PEFT directory; without it what a run in this directory left (out, out/kerf)' },
    out: { type: 'string', value: 'DIR', default: 'export', help: 'directory to write' },
    merge: { type: 'boolean', default: false, help: 'fold the adapter into the weights and write a whole model' },
    dtype: { type: 'string', value: 'TYPE', default: 'f32', help: `type of the merged weights: ${MERGE_DTYPES.join(', ')}` },
    json: { type: 'boolean', default: false, help: 'print the files written as JSON' },
  },
  async run(flags) {
    const merge = flags.on('merge'), dtype = flags.choice('dtype', MERGE_DTYPES), out = flags.text('out')
    if (dtype !== 'f32' && !merge) refuse('export-dtype', '--dtype', 'f32, the type of every adapter; others go with --merge', dtype)
    const { kernel } = await openNodeKernel(flags, false)
    const trained = await openTrained(flags, createChecksum(kernel), { fallback: true })
    const adapter = trained.adapter ?? refuse('export-adapter', '--adapter', 'a PEFT directory', 'none')
    checkOut(out, trained.model, merge)
    const written = merge ? await exportMerged(trained, adapter, dtype, out) : exportAdapter(trained, adapter, out)
    const lines = written.map(({ file, bytes }) => `${file}  ${bytes} bytes\n`)
    process.stdout.write(flags.on('json') ? `${JSON.stringify({ out, merged: merge, files: written })}\n` : lines.join(''))
  },
}
