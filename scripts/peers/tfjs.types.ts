/** What the participants use of TensorFlow.js, whose own types are not installed with the project. */
export type Value = {
  shape: number[]
  dispose(): void
  dataSync(): Float32Array
}

/** Keeps values of the forward pass for the backward pass. */
export type Save = (values: Value[]) => void

type Gradients = { value: Value; grads: Value[] }

export type TensorFlow = {
  version_core: string
  setBackend(name: string): Promise<boolean>
  ready(): Promise<void>
  getBackend(): string
  tensor(values: Float32Array, shape: readonly number[]): Value
  scalar(value: number): Value
  tidy<T>(work: () => T): T
  keep(value: Value): Value
  matMul(a: Value, b: Value, transposeA?: boolean, transposeB?: boolean): Value
  transpose(x: Value, order?: readonly number[]): Value
  reshape(x: Value, shape: readonly number[]): Value
  add(a: Value, b: Value): Value
  sub(a: Value, b: Value): Value
  mul(a: Value, b: Value): Value
  erf(x: Value): Value
  rsqrt(x: Value): Value
  square(x: Value): Value
  mean(x: Value, axis: number, keep: boolean): Value
  softmax(x: Value): Value
  customGrad(
    work: (...args: never[]) => { value: Value; gradFunc: (dy: Value, saved: Value[]) => Value | Value[] },
  ): (...args: Value[]) => Value
  valueAndGrads(work: (...args: Value[]) => Value): (args: readonly Value[], dy: Value) => Gradients
}
