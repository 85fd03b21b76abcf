"""
Writes runtime/data/unicode.table.ts: what each code point is to the Rust tokenizers, asked of the library itself, so that
texts become the same tokens on every host, whatever Unicode the host knows.

    python -m pip install tokenizers==0.23.3 && python scripts/interop/unicode.py

Its crates stand on different versions of Unicode: 8 for categories (unicode_categories), 9 for decomposition
(unicode-normalization-alignments), 16 for words (regex), 17 for lower case (the standard library).
"""
import json
import sys
import unicodedata
from pathlib import Path

from tokenizers import Tokenizer, __version__, normalizers, pre_tokenizers

WANTED = '0.23.3'
LINE = 120
DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
MARK = 0x345  # Of the highest combining class, 240: every other mark sorts before it.
POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def bert(**on):
    names = ['clean_text', 'handle_chinese_chars', 'strip_accents', 'lowercase']
    return normalizers.BertNormalizer(**{name: name in on for name in names})


def word_tokenizer():
    """Finds QQ only where no word character stands before it."""
    token = {'id': 1, 'content': 'QQ', 'single_word': True, 'lstrip': False, 'rstrip': False, 'normalized': False, 'special': False}
    model = {'type': 'WordPiece', 'unk_token': 'U', 'continuing_subword_prefix': '##', 'max_input_chars_per_word': 100, 'vocab': {'U': 0}}
    parts = dict.fromkeys(['truncation', 'padding', 'normalizer', 'pre_tokenizer', 'post_processor', 'decoder'])
    return Tokenizer.from_str(json.dumps({'version': '1.0', **parts, 'added_tokens': [token], 'model': model}))


def ranges(points):
    runs = []
    for c in points:
        if runs and runs[-1][1] == c - 1:
            runs[-1][1] = c
        else:
            runs.append([c, c])
    return runs


def varint(value):
    """Five bits a digit, lowest first; the sixth says that more follow."""
    text = ''
    while True:
        value, low = divmod(value, 32)
        if value == 0:
            return text + DIGITS[low]
        text += DIGITS[low + 32]


def zigzag(value):
    return varint(2 * value if value >= 0 else -2 * value - 1)


def pack_ranges(points):
    text, at = '', 0
    for first, last in ranges(points):
        text += varint(first - at) + varint(last - first)
        at = last + 1
    return text


def pack_classes(classes):
    text, at = '', 0
    for first, last, value in runs_of(classes):
        text += varint(first - at) + varint(last - first) + varint(value)
        at = last + 1
    return text


def runs_of(values):
    runs = []
    for c in sorted(values):
        if runs and runs[-1][1] == c - 1 and runs[-1][2] == values[c]:
            runs[-1][1] = c
        else:
            runs.append([c, c, values[c]])
    return runs


def pack_lower(lower):
    """Runs of one difference with a step of one or two: first, count, step, difference."""
    text, at, points = '', 0, sorted(lower)
    while points:
        first = points[0]
        difference = lower[first] - first
        best = [first]
        for step in (1, 2):
            run = [first]
            while run[-1] + step in lower and lower[run[-1] + step] - run[-1] - step == difference:
                run.append(run[-1] + step)
            if len(run) > len(best):
                best = run
        step = best[1] - best[0] if len(best) > 1 else 1
        text += varint(first - at) + varint(len(best) - 1) + varint(step - 1) + zigzag(difference)
        at = first + 1
        points = [c for c in points if c not in set(best)]
    return text


def pack_pairs(pairs):
    text, at = '', 0
    for c in sorted(pairs):
        first, second = pairs[c]
        text += varint(c - at) + varint(first) + varint(second)
        at = c + 1
    return text


def write(name, note, text):
    lines = [text[i:i + LINE] for i in range(0, len(text), LINE)]
    body = ' +\n'.join(f"  '{line}'" for line in lines)
    return f'/** {note} */\nexport const {name} =\n{body}\n'


def main():
    if __version__ != WANTED:
        sys.exit(f'tokenizers: expected {WANTED}, got {__version__}')
    clean, strip = bert(clean_text=True), bert(strip_accents=True)
    nfd, lowercase, words, before = normalizers.NFD(), normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer(), word_tokenizer()
    chars = {c: chr(c) for c in POINTS}
    removed = [c for c in POINTS if clean.normalize_str(chars[c]) == '']
    cuts = {c: len(words.pre_tokenize_str(f'a{chars[c]}b')) for c in POINTS}
    white, punctuation = ([c for c in POINTS if cuts[c] == parts] for parts in (2, 3))
    word = [c for c in POINTS if 1 not in before.encode(f'{chars[c]}QQ').ids]
    full = {c: nfd.normalize_str(chars[c]) for c in POINTS}
    marks = [c for c in POINTS if full[c] == chars[c] and strip.normalize_str(chars[c]) == '']
    # A mark's class never changes once it has one: whether the library knows it is all that is asked.
    sorts = lambda c: nfd.normalize_str(f'a{chr(MARK)}{chars[c]}') == f'a{chars[c]}{chr(MARK)}'
    classes = {c: unicodedata.combining(chars[c]) for c in POINTS if full[c] == chars[c] and c != MARK and sorts(c)}
    classes = {**classes, MARK: 240}
    assert all(classes.values())
    pairs = {}
    for c in POINTS:
        if full[c] != chars[c] and not 0xAC00 <= c <= 0xD7A3:
            parts = [int(part, 16) for part in unicodedata.decomposition(chars[c]).split()]
            pairs[c] = (parts[0], parts[1] if len(parts) > 1 else 0)
    expand = lambda c: expand(pairs[c][0]) + ([pairs[c][1]] if pairs[c][1] else []) if c in pairs else [c]
    assert all(''.join(map(chr, expand(c))) == full[c] for c in pairs)
    lower = {c: lowercase.normalize_str(chars[c]) for c in POINTS}
    long = {c: text for c, text in lower.items() if len(text) != 1}
    assert long == {0x130: 'i\u0307'}
    short = {c: ord(text) for c, text in lower.items() if text != chars[c] and c not in long}
    head = f"""/**
 * What code points are to the Rust tokenizers {WANTED}; written by scripts/interop/unicode.py, which says how and from which
 * versions of Unicode. Numbers are packed five bits a character, lowest first (unicode.ts reads them).
 */
"""
    tables = [
        write('REMOVED', 'Control, format and private characters, as ranges.', pack_ranges(removed)),
        write('WHITE', 'White space, as ranges.', pack_ranges(white)),
        write('PUNCTUATION', 'Punctuation and ASCII symbols, as ranges.', pack_ranges(punctuation)),
        write('WORD', 'Word characters of regular expressions, as ranges.', pack_ranges(word)),
        write('MARKS', 'Nonspacing marks, as ranges.', pack_ranges(marks)),
        write('CLASSES', 'Combining classes other than 0: ranges with their class.', pack_classes(classes)),
        write('PAIRS', 'Decompositions but for Hangul: a code point, and the one or two (else 0) that it becomes.', pack_pairs(pairs)),
        write('LOWER', 'Lower case but for U+0130: runs of a first code point, more of them, the step less 1, and the difference.', pack_lower(short)),
    ]
    path = Path(__file__).resolve().parents[2] / 'runtime' / 'data' / 'unicode.table.ts'
    path.write_text(head + '\n' + '\n'.join(tables))
    print(f'{path.name}: {path.stat().st_size} bytes')


main()
