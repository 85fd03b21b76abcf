/** `kerf export`: a trained adapter for others, as a PEFT directory or folded into a whole model. */
import { formatTokenizer } from '../../data/tokens.ts'
import { refuse } from '../../error.ts'
import type { Access, Files } from '../../host/files.ts'
import { createChecksum } from '../../kernel/checksum.ts'
import { formatConfig } from '../../model/config.ts'
import { splitVector } from '../../model/layout.ts'
import type { MergeDtype } from '../../model/merge.ts'
import { MERGE_DTYPES, mergeTensors } from '../../model/merge.ts'
import { encodeAdapter, formatAdapterConfig } from '../../model/peft.ts'
import { parseObject } from '../../object.ts'
import { printable } from '../../text/printable.ts'
import type { TensorInput } from '../../wire/safetensors.ts'
import { encodeSafetensors } from '../../wire/safetensors.ts'
import { defineCommand } from '../command.ts'
import { moveAsideFor } from '../earlier.ts'
import { isFile, readText, saveFile } from '../files.ts'
import { openProgramKernel } from '../kernel.ts'
import type { Model } from '../model.ts'
import { openTokenizer, readTokenizerFiles } from '../model.ts'
import { joinPath } from '../path.ts'
import type { Trained, TrainedAdapter } from '../trained.ts'
import { TRAINED_SETTINGS, checkTrained, openTrained } from '../trained.ts'

type Written = { file: string; bytes: number }
type Contents = Readonly<Record<string, string | Uint8Array>>

function encodeContents(contents: Contents): Record<string, Uint8Array> {
  return Object.fromEntries(Object.entries(contents).map(([name, content]) => (
    [name, typeof content === 'string' ? new TextEncoder().encode(content) : content])))
}

/** Writes files whole, one after another in their order; weights come last, so that a directory with weights is complete. */
async function writeFiles(
  files: Files, directory: string, contents: Readonly<Record<string, Uint8Array>>, access: Access,
): Promise<Written[]> {
  const written: Written[] = []
  for (const [name, bytes] of Object.entries(contents)) {
    const file = joinPath(directory, name)
    await saveFile(files, file, bytes, { access })
    written.push({ file, bytes: bytes.length })
  }
  return written
}

function adapterContents({ model, labels }: Trained, { config, base, layout, vector }: TrainedAdapter): Contents {
  return {
    'adapter_config.json': formatAdapterConfig(config, model.name, base.kept),
    'labels.json': `${JSON.stringify(labels)}\n`,
    'adapter_model.safetensors': encodeAdapter(splitVector(layout, vector), model.config, config, labels.length),
  }
}

/**
 * What the base's config.json says and is no longer so: another head's labels and task, code that does not lie beside it,
 * and `dtype`, the newer name of `torch_dtype`.
 */
const OUTDATED = ['dtype', '_name_or_path', 'num_labels', '_num_labels', 'finetuning_task', 'auto_map', 'custom_pipelines']

/** What the merged model's own config.json says, over what the base's says, over Kerf's defaults. */
async function mergeConfig(files: Files, { directory, config }: Model, labels: readonly string[], dtype: MergeDtype): Promise<string> {
  const file = joinPath(directory, 'config.json')
  const own = JSON.parse(formatConfig({ ...config, labels })) as Record<string, unknown>
  const base = Object.entries(parseObject(await readText(files, file), file)).filter(([key]) => !OUTDATED.includes(key))
  const { architectures, id2label, label2id, problem_type } = own
  const torch_dtype = dtype === 'f32' ? 'float32' : 'float16'
  const merged = { ...own, ...Object.fromEntries(base), architectures, id2label, label2id, problem_type, torch_dtype }
  return `${JSON.stringify(merged, null, 2)}\n`
}

/** tokenizer.json always, so that none of an earlier export stays; the others as the base has them, or what they must say. */
async function tokenizerContents(files: Files, model: Model): Promise<Record<string, string>> {
  const given = await readTokenizerFiles(files, model.directory)
  const lowercase = parseObject(formatTokenizer(given), 'tokenizer.json', Infinity).normalizer as { lowercase?: boolean }
  const defaults = {
    tokenizer_class: 'BertTokenizer', do_lower_case: lowercase.lowercase ?? true, model_max_length: model.config.positionsMax,
    cls_token: '[CLS]', mask_token: '[MASK]', pad_token: '[PAD]', sep_token: '[SEP]', unk_token: '[UNK]',
  }
  const own = given.tokenizerConfig === undefined ? {} : parseObject(given.tokenizerConfig, 'tokenizer_config.json')
  return {
    ...(given.vocabText === undefined ? {} : { 'vocab.txt': given.vocabText }),
    'tokenizer.json': formatTokenizer(given),
    'tokenizer_config.json': `${JSON.stringify({ ...defaults, ...own }, null, 2)}\n`,
    ...(given.addedTokens === undefined ? {} : { 'added_tokens.json': given.addedTokens }),
    ...(given.specialTokensMap === undefined ? {} : { 'special_tokens_map.json': given.specialTokensMap }),
  }
}

async function mergedContents(files: Files, { model, labels }: Trained, { config, layout, vector }: TrainedAdapter, dtype: MergeDtype): Promise<Contents> {
  const tensors: TensorInput[] = []
  for await (const tensor of mergeTensors(model.config, model.weights, labels.length, config, splitVector(layout, vector), dtype)) tensors.push(tensor)
  const weights = encodeSafetensors(tensors, { format: 'pt' })
  return { 'config.json': await mergeConfig(files, model, labels, dtype), ...await tokenizerContents(files, model), 'model.safetensors': weights }
}

/** Refuses to write over the base model, and beside an adapter that transformers would load on top of the merged weights. */
async function checkOut(files: Files, out: string, model: Model, merge: boolean): Promise<void> {
  const exists = (await files.kind(out)) !== 'none'
  if (exists && await files.isSame(out, model.directory)) refuse('export-out', '--out', "another directory than the model's own", out)
  if (!merge) return
  // Of an earlier export: they would add to what the new tokenizer says.
  for (const name of ['added_tokens.json', 'special_tokens_map.json']) {
    if (await isFile(files, joinPath(out, name)) && !await isFile(files, joinPath(model.directory, name))) {
      refuse('export-out', '--out', `a directory without ${name}, which the base has not`, out)
    }
  }
  if (await isFile(files, joinPath(out, 'adapter_config.json'))) {
    refuse('export-out', '--out', 'a directory without adapter_config.json, which transformers would apply to the merged weights again', out)
  }
}

export const exportCommand = defineCommand({
  summary: 'write a trained adapter as a PEFT directory, or merged as a Hugging Face model',
  names: [...TRAINED_SETTINGS, 'out', 'merge', 'json'],
  defaults: { out: 'export' },
  only: { dtype: MERGE_DTYPES },
  async run(settings, { host }) {
    const { files, terminal } = host
    const { merge, out, json } = settings
    const dtype = MERGE_DTYPES.find((known) => known === settings.dtype) ?? refuse('export-dtype', '--dtype', MERGE_DTYPES.join(', '), settings.dtype)
    if (dtype !== 'f32' && !merge) refuse('export-dtype', '--dtype', 'f32, the type of every adapter; others go with --merge', dtype)
    const { kernel } = await openProgramKernel(host, settings, { measure: false })
    const trained = await openTrained(files, { ...settings, fallback: true }, createChecksum(kernel))
    try {
      const adapter = trained.adapter ?? refuse('export-adapter', '--adapter', 'a PEFT directory', 'none')
      await checkOut(files, out, trained.model, merge)
      if (adapter.base.kept) await checkTrained(trained, await openTokenizer(files, trained.model))
      const contents = encodeContents(merge ? await mergedContents(files, trained, adapter, dtype) : adapterContents(trained, adapter))
      for (const note of trained.notes) terminal.screen.write(`${note}\n`)
      const moved = await moveAsideFor(files, out, contents)
      if (moved !== null) terminal.screen.write(`${printable(moved)}\n`)
      // A whole model is made to be handed on; an adapter is its owner's.
      const written = await writeFiles(files, out, contents, merge ? 'habit' : 'owner')
      const lines = written.map(({ file, bytes }) => `${file}  ${bytes} bytes\n`)
      terminal.print(json ? `${JSON.stringify({ out, merged: merge, files: written })}\n` : lines.join(''))
    } finally {
      await trained.model.close()
    }
  },
})
