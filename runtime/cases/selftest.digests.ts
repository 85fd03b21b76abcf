/** Written by scripts/conform/publish.ts: what every strict kernel gives for selftest.ts, over all of its cases and for each. */
export const SELF_TEST_DIGEST = 'bbc545afdfb395af'
export const SELF_TEST_DIGESTS: readonly string[] = [
  'ed5a428143d67ebf', '37c90f84b2994364', 'dfa358c2503c829f', '85b284255655c4a9', '01528be7c70326e7', 'c5c906733e5541bf',
  '4ad118b85f89d338', 'bb28f0fce2a0c4a7', '95f34966e9a65925', '859920fceb31e092', '2270ef1cbc15825b', '479db0edc2ce8f10',
  '879ecdcfcc212294', '6fc823172a04f252', '7564ec57cff08b2b', 'd44af83426252489', '7a82230df1bd8772', '199c30b116eb931d',
  '35493b4af0be084f', '02cd07ec221908ee', 'c8875ac1041e23be', '09584621d7c5c5aa', 'c3081474f5471269', '93d380e1e0d4afd8',
  '65463172265c8c15', '8a1400e15fc998da', 'a7b578e046739628', 'e902a444a8b70ef5', '4409c3b2683bce43', '8e37470e9f4dec69',
  'cefd4b84b59ee1e4', '9b872d953ab0bc1b', '4535268f5dab2fc7', '52e8d3775c130c27', '3ae54303984612db', 'eefe245619ef29ba',
  '6e51586d1bdc9229', '92623f4bcc3a2a5b', '8537faa195daf736', '619c165b76196eec', '38d7067d8260827d', '0e089e4d715aeedc',
  '4f5c28b61171b0e6', '364699d07efdace5', '1317cada0358c588', '42db0a41d5203517', 'ac26e06c8306d3fc',
]
