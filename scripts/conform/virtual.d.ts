declare module 'kerf:expected' {
  const expected: import('../../runtime/conformance/tally.ts').ExpectedDigests
  export default expected
}
declare module 'kerf:vectors' {
  const vectors: import('../../runtime/conformance/frames.ts').FrameVectors
  export default vectors
}
declare module '*.wasm' {
  const module: WebAssembly.Module
  export default module
}
declare module './suite.js' {}
