/** Who a hello becomes, and where a device that comes back begins again. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freshState } from '../../runtime/model/optimizer.ts'
import { Channel } from '../../runtime/split/channel.ts'
import { chooseMember } from '../../runtime/split/server/greeting.ts'
import { createLinkPair } from '../../runtime/split/link.ts'
import type { Member } from '../../runtime/split/server/member.ts'
import { createMembers } from '../../runtime/split/server/member.ts'
import { chooseRestart } from '../../runtime/split/server/states.ts'
import { refusal } from '../refusal.ts'
import { config, makeContract, openChecksum } from './model.ts'

const channel = new Channel(createLinkPair()[0], await openChecksum())

/** Client 0 is connected as `a`, client 1 has been as `b`, client 2 has not been heard of. */
function makeMembers(): Member[] {
  const members = createMembers(config, makeContract({ cuts: [1, 2, 1] }))
  Object.assign(members[0].seat, { name: 'a', channel })
  Object.assign(members[1].seat, { name: 'b' })
  return members
}

test('members of one cut share their layout', () => {
  const [first, second, third] = makeMembers()
  assert.is(first.part, third.part)
  assert.is.not(first.part, second.part)
  assert.ok(first.part.layout.count < second.part.layout.count)
})

test('a name that is known gets its number back, another the first that nobody has had', () => {
  const members = makeMembers()
  for (const [client, name, expected] of [['any', 'b', 1], ['1', 'b', 1], ['any', 'c', 2], ['2', 'c', 2], ['2', 'b', 2]] as const) {
    assert.is(chooseMember(members, { client, name }).client, expected, `${client} ${name}`)
  }
  for (const [client, name, code] of [
    ['any', '', 'client-name'], ['any', 'a', 'client-taken'], ['2', 'a', 'client-taken'], ['0', 'c', 'client-taken'], ['1', 'c', 'client-taken'],
    ['3', 'c', 'client-unknown'], ['one', 'c', 'client-unknown'],
  ] as const) {
    assert.is(refusal(() => chooseMember(members, { client, name })).code, code, `${client} ${name}`)
  }
  Object.assign(members[2].seat, { name: 'd' })
  assert.is(refusal(() => chooseMember(members, { client: 'any', name: 'c' })).code, 'client-unknown')
})

test('the last saved state, else the beginning; on a set that others share the step stays', () => {
  const state = (value: number) => freshState(Float32Array.of(value))
  const start = () => state(4)
  const member = { ...makeMembers()[0], step: 9 }
  const restart = (steps: readonly number[], shared: boolean) => {
    const snapshots = new Map(steps.map((at) => [at, state(at)]))
    const { step, state: { params } } = chooseRestart({ ...member, snapshots }, { begin: 4, saved: 6, start }, shared)
    return [step, params[0]]
  }
  assert.equal(restart([], false), [4, 4])
  assert.equal(restart([6, 8], false), [6, 6])
  assert.equal(restart([8, 9], false), [4, 4])
  assert.equal(restart([6, 9], true), [9, 9])
  assert.equal(restart([6], true), [9, 6])
  assert.equal(restart([], true), [9, 4])
  assert.is(refusal(() => chooseRestart(member, { begin: 4, saved: 6, start: () => null }, false)).code, 'client-lost')
})

test.run()
