"""
The reference's ids of texts, for tokens.ts: reads a job from stdin and writes each text's count and ids as int32.

    {"settings": [{"json": FILE} | {"vocab": FILE, "normalizer": {…}, "special": […]}], "texts": FILE, "points": true, "out": [FILE, …]}
"""
import json
import sys
from array import array

from tokenizers import AddedToken, Tokenizer, __version__, models, normalizers, pre_tokenizers, processors

BATCH = 20000


def open_tokenizer(setting):
    if 'json' in setting:
        return Tokenizer.from_file(setting['json'])
    vocab = {piece: index for index, piece in enumerate(open(setting['vocab'], encoding='utf-8', newline='\n').read().split('\n')[:-1])}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token='[UNK]'))
    tokenizer.normalizer = normalizers.BertNormalizer(**setting['normalizer'])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(('[SEP]', vocab['[SEP]']), ('[CLS]', vocab['[CLS]']))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in setting['special']])
    return tokenizer


def main():
    job = json.load(sys.stdin)
    texts = json.load(open(job['texts'], encoding='utf-8'))
    if job['points']:
        texts += [f'{chr(c)} a{chr(c)}B' for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    for setting, out in zip(job['settings'], job['out']):
        tokenizer = open_tokenizer(setting)
        with open(out, 'wb') as file:
            for first in range(0, len(texts), BATCH):
                for encoding in tokenizer.encode_batch(texts[first:first + BATCH]):
                    array('i', [len(encoding.ids), *encoding.ids]).tofile(file)
    print(__version__)


main()
