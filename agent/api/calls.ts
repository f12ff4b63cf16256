import type { Level } from 'pino'
import { CNI_ERROR, CniError } from '../../plugin/errors.ts'
import type { Answer } from '../../plugin/frame.ts'
import { versionForErrors } from '../../plugin/network-config.ts'
import { type CniRequest, parseRequest } from '../../plugin/request.ts'
import { renderError, renderResult } from '../../plugin/result.ts'
import { addPod } from '../pods/add.ts'
import { checkPod } from '../pods/check.ts'
import { deletePod } from '../pods/delete.ts'
import { explain } from '../pods/explain.ts'
import { collectGarbage } from '../pods/garbage.ts'
import type { PodNetwork } from '../pods/network.ts'
import { deleteIfPending } from '../pods/pending.ts'
import { checkStatus } from '../pods/status.ts'
import type { Turns } from '../pods/turns.ts'

/** Shorter than the plugin's own deadline, so that the runtime hears from us what was slow. */
const CALL_DEADLINE_MS = 50_000

/**
 * Answers one call of a container runtime. Calls for the same container run one after the other.
 * @param gone aborted when the plugin has gone away: what an ADD made then is undone, for nobody knows of it
 */
export async function answerCall(
  network: PodNetwork,
  turns: Turns,
  env: Readonly<Record<string, string>>,
  stdin: Buffer,
  gone: AbortSignal,
): Promise<Answer> {
  const startedAtMs = performance.now()
  const { CNI_COMMAND: command, CNI_CONTAINERID: containerId, CNI_IFNAME: ifname } = env
  // The line is written when the answer is out: the runtime does not wait for the log.
  const report = (level: Level, fields: object, message: string) => {
    const durationMs = Math.round((performance.now() - startedAtMs) * 1000) / 1000
    setImmediate(() => network.log[level]({ command, containerId, ifname, durationMs, ...fields }, message))
  }
  try {
    const request = parseRequest(env, stdin)
    const result = await withDeadline(gone, (signal) => carryOut(network, turns, request, signal))
    report(command === 'STATUS' ? 'debug' : 'info', {}, 'done')
    return { exitCode: 0, body: Buffer.from(result ? JSON.stringify(result) : '') }
  } catch (cause) {
    const error = explain(cause, `carry out ${command}`)
    if (error instanceof CniError) report('warn', { code: error.code, reason: error.message }, 'refused')
    else report('error', { err: error }, 'failed')
    return { exitCode: 1, body: Buffer.from(JSON.stringify(renderError(versionForErrors(stdin), error))) }
  }
}

/** @returns the result of ADD; the other commands have none */
async function carryOut(
  network: PodNetwork,
  turns: Turns,
  request: CniRequest,
  signal: AbortSignal,
): Promise<object | undefined> {
  switch (request.command) {
    case 'ADD': {
      const attachment = await turns.take(request.containerId, async () => {
        signal.throwIfAborted()
        await deleteIfPending(network, request.containerId, request.ifname)
        return addPod(network, request, signal)
      })
      return renderResult(request.config, attachment)
    }
    case 'DEL':
      await turns.take(request.containerId, () =>
        deletePod(network, request.containerId, request.ifname, request.netns),
      )
      return undefined
    case 'CHECK':
      await turns.take(request.containerId, () => checkPod(network, request))
      return undefined
    case 'GC':
      await collectGarbage(network, turns, request.config.name, request.validAttachments)
      return undefined
    case 'STATUS':
      checkStatus(network)
      return undefined
  }
}

/**
 * Ends the wait, not the work: what runs is told by the signal, and ends by itself.
 * @throws CniError "try again later" when the time is over
 */
async function withDeadline<T>(gone: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  // One signal for both ends; AbortSignal.any costs more than all the rest of this.
  const end = new AbortController()
  const onGone = () => end.abort(gone.reason)
  gone.addEventListener('abort', onGone, { once: true })
  if (gone.aborted) onGone()
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const error = new CniError(
      CNI_ERROR.tryAgainLater,
      `not done within ${CALL_DEADLINE_MS / 1000} s`,
      'see: bramblectl status',
    )
    end.abort(error)
    late.reject(error)
  }, CALL_DEADLINE_MS)
  try {
    return await Promise.race([work(end.signal), late.promise])
  } finally {
    clearTimeout(timer)
    gone.removeEventListener('abort', onGone)
  }
}
