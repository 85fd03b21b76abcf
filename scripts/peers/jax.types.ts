/** What the participant uses of jax-js. An array passed on is given away; `ref` keeps a share. */
export type Value = {
  readonly ref: Value
  readonly shape: number[]
  add(other: Value | number): Value
  sub(other: Value | number): Value
  mul(other: Value | number): Value
  reshape(shape: readonly number[]): Value
  dispose(): void
  data(): Promise<Float32Array>
  blockUntilReady(): Promise<Value>
}

type Numpy = {
  array(values: Float32Array | Int32Array, options?: object): Value
  matmul(a: Value, b: Value): Value
  transpose(x: Value, order?: readonly number[]): Value
  mean(x: Value, axis: number, options: { keepdims: boolean }): Value
  square(x: Value): Value
  sqrt(x: Value): Value
  reciprocal(x: Value): Value
}

export type Jax = {
  init(...devices: string[]): Promise<string[]>
  defaultDevice(device?: string): string
  numpy: Numpy
  nn: { softmax(x: Value, axis: number): Value; gelu(x: Value, options: { approximate: boolean }): Value }
  jit<F extends (...args: never[]) => unknown>(work: F): F
  vjp(work: (...args: Value[]) => Value, primals: readonly Value[]): [Value, ((cotangent: Value) => Value[]) & { dispose?(): void }]
}
