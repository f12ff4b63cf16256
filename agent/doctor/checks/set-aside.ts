import { command, type Remedy, shellWord } from '../finding.ts'

/** By another ending: runtimes read .conf, .conflist and .json alone. */
export function setAside(folder: string, file: string): Remedy {
  const path = `${folder}/${file}`
  return command(`mv ${shellWord(path)} ${shellWord(`${path}.disabled`)}`)
}
