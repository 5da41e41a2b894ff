/** A candidate of etcd's elections, by the package `etcd3`, which runs the commands of its parent process. */
import type { CandidateOptions, Command, Message } from "./candidates.ts"
import { sharedMillis } from "./sharedClock.ts"

/** The part of `etcd3` that is used here. */
interface Campaign {
  readonly on: (event: "elected" | "error", listener: (error: unknown) => void) => unknown
  readonly resign: () => Promise<void>
}

interface Client {
  readonly Etcd3: new(options: { readonly hosts: string }) => {
    readonly election: (name: string, ttlSeconds: number) => { readonly campaign: (value: string) => Campaign }
  }
}

const { etcd, name, timings, url }: CandidateOptions = JSON.parse(process.argv[2]!)

// The parent process has ended and could not end this process any more.
process.once("disconnect", () => process.exit(1))

const send = (message: Message) => void process.send!(message)

const fail = (error: unknown) => send({ _tag: "Failed", why: String(error) })

const { Etcd3 }: Client = await import(etcd!)
const client = new Etcd3({ hosts: url })

const campaigns = new Map<string, Campaign>()

const campaignFor = (election: string) => {
  const campaign = client.election(election, timings.leaseDuration / 1000).campaign(name)
  campaigns.set(election, campaign)
  campaign.on("elected", () => send({ _tag: "Led", election, at: sharedMillis() }))
  campaign.on("error", fail)
}

const handOver = async (election: string) => {
  const at = sharedMillis()
  const resigned = campaigns.get(election)!.resign()
  send({ _tag: "Leaving", election, at })
  await resigned
}

const done = () => {
  const { system, user } = process.cpuUsage()
  send({ _tag: "Done", report: { processorMillis: (system + user) / 1000, valid: [], overruns: 0, errors: [] } })
}

const run = async (command: Command) => {
  switch (command._tag) {
    case "Campaign":
      return command.elections.forEach(campaignFor)
    case "HandOver":
      return await Promise.all(command.elections.map(handOver))
    case "Sample":
    case "Report":
      throw new Error(`a candidate of etcd does not ${command._tag.toLowerCase()}`)
  }
}

process.on("message", (command: Command) => run(command).then(done, fail))
done()
