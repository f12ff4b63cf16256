import { bind, SystemError } from './libc.ts'

// include/uapi/linux/timex.h
const TIMEX_BYTES = 208
const TIME_ERROR = 5

const adjtimex = bind<[Buffer]>('int adjtimex(_Inout_ uint8_t *timex)')

/** Whether the kernel's clock is kept right by somebody (NTP, chrony, timesyncd). @returns undefined where it may not be asked */
export function isClockSynchronised(): boolean | undefined {
  try {
    return adjtimex(Buffer.alloc(TIMEX_BYTES)) !== TIME_ERROR // modes 0: nothing is changed
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}
