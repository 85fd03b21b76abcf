/** The KerfError with which a call must end; anything else fails the test. */
import * as assert from 'uvu/assert'
import { KerfError } from '../runtime/error.ts'

function check(error: unknown): KerfError {
  assert.instance(error, KerfError, `expected a refusal, got ${String(error)}`)
  return error as KerfError
}

export function refusal(call: () => unknown): KerfError {
  try {
    call()
  } catch (error) {
    return check(error)
  }
  return check('none')
}

/** As `refusal`, of a promise. */
export async function refusalOf(promise: Promise<unknown>): Promise<KerfError> {
  return check(await promise.then(() => 'none', (error: unknown) => error))
}
