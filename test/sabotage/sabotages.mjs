/**
 * Faults that could slip into the code, each with the promise that it breaks and the test that must notice it,
 * by its full name as vitest prints it. `replace` is a text that occurs once in `file`, and what the fault makes of it;
 * the result must still compile.
 */

const GENERATE_MEDIA = 'test/workflow/generate-media.test.ts';
const RECALL = 'test/workflow/recall.test.ts';
const SUBMIT = 'test/activities/submit.test.ts';
const TRANSPORT = 'test/api/transport.test.ts';
const REPLIES = 'test/api/replies.test.ts';
const SCHEDULE = 'test/policy/schedule.test.ts';

export const SABOTAGES = [
  // The key.
  {
    name: 'no-idempotency-key',
    breaks: 'Every submit carries its idempotency key.',
    file: 'src/api/client.ts',
    replace: [", 'idempotency-key': idempotencyKey }", ' }'],
    test: {
      file: REPLIES,
      name: 'a request > carries exactly the given bytes, the idempotency key and the API key, once',
    },
  },
  {
    name: 'random-key',
    breaks: 'Every attempt of a submit carries the same key.',
    file: 'activities/paid-post.ts',
    replace: [
      'const request = { idempotencyKey,',
      'const request = { idempotencyKey: `${idempotencyKey}${Math.random()}`,',
    ],
    test: {
      file: GENERATE_MEDIA,
      name: 'paid once > when the answer to the submit is not known (lost twice): same key, same bytes, one paid task',
    },
  },
  {
    name: 'run-id-in-key',
    breaks: 'Every run of a Workflow ID comes to the same key.',
    file: 'workflows/generation.ts',
    replace: [
      'const { namespace, workflowId: own } = workflowInfo();',
      'const { namespace, runId: own } = workflowInfo();',
    ],
    test: {
      file: GENERATE_MEDIA,
      name: 'paid once > after a reset to the first Workflow Task: the same task, marked as reused; the waiter follows',
    },
  },
  {
    name: 'one-attempt-more',
    breaks: 'No more attempts are paid than maxAttempts allows.',
    file: 'workflows/generation.ts',
    replace: ['attempt < this.#input.maxAttempts', 'attempt <= this.#input.maxAttempts'],
    test: { file: GENERATE_MEDIA, name: 'never lost > a failed task names itself, the credits and take' },
  },

  // One POST for each attempt, and only while the attempt may act.
  {
    name: 'client-repeats',
    breaks: 'The HTTP client repeats nothing by itself.',
    file: 'src/api/client.ts',
    replace: [
      'async function call<T>(',
      'const call = <T>(...of: Parameters<typeof once<T>>) => once<T>(...of).catch(() => once<T>(...of));\n  async function once<T>(',
    ],
    test: {
      file: TRANSPORT,
      name: 'once a byte was sent, a failure leaves the outcome unknown, and nothing is sent twice (P1) > a close without a reply',
    },
  },
  {
    name: 'paid-call-on-kept-connection',
    breaks: 'A paid call opens a connection of its own.',
    file: 'src/api/pools.ts',
    replace: ['post: openPool(baseUrl, connectMs, env, tls, 0)', 'post: openPool(baseUrl, connectMs, env, tls, 1)'],
    test: {
      file: TRANSPORT,
      name: 'a kept connection > is never used for a paid call, whose outcome a late close would hide',
    },
  },
  {
    name: 'no-fence',
    breaks: 'Nothing is posted when the Service refuses the fence.',
    file: 'activities/heartbeat.ts',
    replace: [
      'await client.activity.heartbeat(info.taskToken, details, { serializationContext: contextOf(info) });',
      'Context.current().heartbeat([client, contextOf(info), details]);',
    ],
    test: {
      file: SUBMIT,
      name: 'an attempt posts nothing > where the Service does not acknowledge the fence: the next attempt may have begun',
    },
  },
  {
    name: 'fence-not-awaited',
    breaks: 'Nothing is posted before the Service has acknowledged the fence.',
    file: 'activities/heartbeat.ts',
    replace: ['await client.activity.heartbeat(', 'void client.activity.heartbeat('],
    test: { file: SUBMIT, name: 'an attempt posts nothing > before the Service has acknowledged the fence' },
  },
  {
    name: 'lease-not-checked',
    breaks: 'A Worker that was stopped after its fence posts nothing when it wakes up.',
    file: 'activities/paid-post.ts',
    replace: ['lease.held() && (unanswered === null', '(unanswered === null'],
    test: {
      file: SUBMIT,
      name: 'an attempt posts nothing > after a process that stood still for longer than its fence holds',
    },
  },
  {
    name: 'may-send-ignored',
    breaks: 'The HTTP client asks once more right before the first byte.',
    file: 'src/api/transport.ts',
    replace: ['if (request.maySend?.() === false)', 'if (request.limitMs < 0)'],
    test: {
      file: SUBMIT,
      name: 'an attempt posts nothing > after a machine that slept for longer than its fence holds',
    },
  },
  {
    name: 'cancel-aborts-the-post',
    breaks: 'A cancel never aborts a POST under way.',
    file: 'activities/paid-post.ts',
    replace: [
      'const request = { idempotencyKey,',
      "const request = { signal: (await import('@temporalio/activity')).cancellationSignal(), idempotencyKey,",
    ],
    test: {
      file: SUBMIT,
      name: 'an attempt posts once and tells the task > also where it is cancelled during the POST',
    },
  },
  {
    name: 'cancel-does-not-wait',
    breaks: 'A cancelled Workflow waits for the answer of a POST under way.',
    file: 'workflows/activities.ts',
    replace: ["'WAIT_CANCELLATION_COMPLETED'", "'TRY_CANCEL'"],
    test: {
      file: GENERATE_MEDIA,
      name: 'never lost > a cancel during the POST lets it end, and the memo keeps the task ID',
    },
  },
  {
    name: 'late-answer-thrown-away',
    breaks: 'An answer that takes half a minute is taken.',
    file: 'activities/heartbeat.ts',
    replace: ['    heartbeat(details);', '    void heartbeat;'],
    test: {
      file: 'test/full/slow-answer.test.ts',
      name: 'an answer that comes after half a minute > is taken: one POST, one paid task',
    },
  },

  // The window and the account of an unanswered POST.
  {
    name: 'no-window',
    breaks: 'An unanswered POST is not repeated after the idempotency window.',
    file: 'activities/paid-post.ts',
    replace: ['return Date.now() - firstPostedAt <= idempotencyWindowMs;', 'return true;'],
    test: { file: SUBMIT, name: 'an attempt posts nothing > after the window of an unanswered POST' },
  },
  {
    name: 'window-not-checked-last',
    breaks: 'The window is checked right before the POST.',
    file: 'activities/paid-post.ts',
    replace: ['lease.held() && (unanswered === null || inWindow(input, fence))', 'lease.held()'],
    test: { file: SUBMIT, name: 'an attempt posts nothing > where that window ends right before the POST' },
  },
  {
    name: 'window-restarts',
    breaks: 'The window counts from the first POST, not from the last.',
    file: 'activities/paid-post.ts',
    replace: ['{ ...(unanswered ?? first), sent: true }', '{ ...first, sent: true }'],
    test: {
      file: SUBMIT,
      name: 'an attempt posts once and tells the task > inside the window of an unanswered POST, whose time stays',
    },
  },
  {
    name: 'fingerprint-not-compared',
    breaks: 'An unanswered POST is not repeated under the API key of another account.',
    file: 'activities/paid-post.ts',
    replace: ['unanswered.fingerprint !== fingerprint &&', 'unanswered.fingerprint === fingerprint &&'],
    test: { file: SUBMIT, name: 'an attempt posts nothing > under another API key than that of an unanswered POST' },
  },
  {
    name: 'wiped-heartbeat-believed',
    breaks: 'A reset of the Activity that wipes its heartbeat does not wipe out that a POST may be unanswered.',
    file: 'activities/paid-post.ts',
    replace: ['(await wipedFence(ofInput(input)))', '(wipedFence === undefined ? told : null)'],
    test: {
      file: 'test/workflow/unknown.test.ts',
      name: 'the window > is not passed by a reset of the Activity that also wipes its heartbeat',
    },
  },

  // Known and unknown outcomes.
  {
    name: 'broken-connection-is-refusal',
    breaks: 'A connection that breaks after the first byte leaves the outcome unknown.',
    file: 'src/api/client.ts',
    replace: ["const outcome = error.sent ? 'unknown' : 'refused';", "const outcome = 'refused';"],
    test: {
      file: TRANSPORT,
      name: 'once a byte was sent, a failure leaves the outcome unknown, and nothing is sent twice (P1) > a close without a reply',
    },
  },
  {
    name: 'server-error-is-refusal',
    breaks: 'A 5xx leaves the outcome unknown, whatever its code says.',
    file: 'src/api/reply.ts',
    replace: [
      "return refused ? 'refused' : 'unknown';",
      "return refused || httpStatus >= 500 ? 'refused' : 'unknown';",
    ],
    test: {
      file: REPLIES,
      name: 'every documented code (P1: only a certain refusal is called one) > HTTP 503 with brand_new_code is unknown',
    },
  },
  {
    name: 'html-is-refusal',
    breaks: "Only the API's own envelope is a refusal: a page from a proxy is none.",
    file: 'src/api/reply.ts',
    replace: ["if (code === null || code === 'internal_error')", "if (code === 'internal_error')"],
    test: { file: REPLIES, name: 'a reply that is not the API speaking leaves the outcome unknown > 402 with HTML' },
  },
  {
    name: 'refusal-clears-unknown',
    breaks: 'A refusal after an unanswered POST does not end the doubt.',
    file: 'activities/paid-post.ts',
    replace: ["error.outcome === 'refused' ? unanswered :", "error.outcome === 'refused' ? null :"],
    test: {
      file: GENERATE_MEDIA,
      name: 'never lost > a refusal after an unanswered submit still says that a task may exist, and takes its ID',
    },
  },
  {
    name: 'refusal-stays-unanswered',
    breaks: 'After a known refusal nothing is unanswered: a key that is rotated then holds nobody.',
    file: 'activities/paid-post.ts',
    replace: ['await settle(left);', 'void settle;'],
    test: { file: 'test/workflow/receipts.test.ts', name: 'a receipt > of a refusal leaves nothing unanswered' },
  },
  {
    name: 'early-conflict-is-final',
    breaks: 'A conflict may come from our own POST that still runs, so it is waited out.',
    file: 'activities/paid-post.ts',
    replace: ['unanswered !== null || age < TIMEOUTS.conflictGrace', 'unanswered !== null || age < 0'],
    test: {
      file: SUBMIT,
      name: 'a conflict at the first POST is repeated for 90 s, in which another run may be posting; then the input has changed',
    },
  },

  // Recall.
  {
    name: 'no-recall-from-other-runs',
    breaks: 'Other runs of the Workflow ID are asked for the task before anything is posted.',
    file: 'activities/recall.ts',
    replace: ['query === null) return null;', 'query !== undefined) return null;'],
    test: {
      file: RECALL,
      name: 'without a store > paid once although the API forgot the key > after terminate and a second start',
    },
  },
  {
    name: 'no-recall-from-history',
    breaks: 'The history of another run is asked, where its memo cannot tell.',
    file: 'activities/recall.ts',
    replace: ['if (historyLength > READABLE_EVENTS) {', 'if (historyLength > 0) {'],
    test: {
      file: RECALL,
      name: 'without a store > paid once although the API forgot the key > a step of your own Workflow, after terminate and a second start',
    },
  },
  {
    name: 'no-recall-from-receipts',
    breaks: 'The receipts are asked for the task before anything is posted.',
    file: 'activities/recall.ts',
    replace: ['const last = answers.at(-1);', 'const last = answers.slice(0, 0).at(-1);'],
    test: {
      file: SUBMIT,
      name: 'an attempt posts nothing > where a receipt knows the task, although neither Temporal nor the API remembers',
    },
  },
  {
    name: 'digest-not-compared',
    breaks: 'A recalled task is of the same request body.',
    file: 'activities/paid-post.ts',
    replace: ['known.bodyDigest !== head.bodyDigest', "known.bodyDigest === ''"],
    test: {
      file: RECALL,
      name: 'without a store > paid once although the API forgot the key > and another input under the same ID never gets the result of the first',
    },
  },
  {
    name: 'no-receipt-before-the-post',
    breaks: 'A receipt is written before the POST.',
    file: 'activities/paid-post.ts',
    replace: [
      "if (receipts !== null) await step(onStep, 'receipt', () => receipts.noteSubmit(head, standing));",
      'void standing;',
    ],
    test: { file: SUBMIT, name: 'an attempt posts nothing > where its receipt cannot be written' },
  },
  {
    name: 'task-lost-with-its-receipt',
    breaks: 'A task is told although its receipt cannot be written.',
    file: 'activities/submit.ts',
    replace: [
      "await noted(() => step(onStep, 'receipt', () => receipts.noteTask(head, task)))",
      "await step(onStep, 'receipt', () => receipts.noteTask(head, task))",
    ],
    test: {
      file: SUBMIT,
      name: 'an attempt posts once and tells the task > also where the receipt of the task cannot be written',
    },
  },

  {
    name: 'no-chat-from-receipts',
    breaks: 'The receipts are asked for the answer to a chat before anything is posted.',
    file: 'activities/recall.ts',
    replace: [
      'receipts === null ? null : receipts.chats.find(attempt.firstKey)',
      'receipts === null ? null : receipts.chats.find(`${attempt.firstKey}-`)',
    ],
    test: {
      file: 'test/activities/chat.test.ts',
      name: 'the receipt of a chat > brings back the answer, without a POST',
    },
  },
  {
    name: 'no-chat-from-history',
    breaks: 'The history of another run is asked for the answer to a chat, where there is no store.',
    file: 'activities/recall.ts',
    replace: ['result: ({ answer }) => answer,', 'result: () => undefined,'],
    test: {
      file: 'test/workflow/chat.test.ts',
      name: 'an API that has forgotten the key, without a store > after a reset: the same answer, one paid chat',
    },
  },

  // What a person decides.
  {
    name: 'bare-resume-posts-again',
    breaks: 'After SubmitUnresolved, only a reason or a task ID resumes.',
    file: 'workflows/progress.ts',
    replace: [
      'hold.code === FAILURE.SubmitUnresolved && resume.taskId',
      'hold.code === FAILURE.DeadlinePassed && resume.taskId',
    ],
    test: {
      file: GENERATE_MEDIA,
      name: 'never lost > an unanswered submit outside the window holds, and goes on with the task that was found',
    },
  },
  {
    name: 'old-answer-counts-after-reset',
    breaks: 'What a person accepted before a reset is not accepted again by it.',
    file: 'workflows/submission.ts',
    replace: [
      'const ofThisRun = end.details.runId === workflowInfo().runId;',
      "const ofThisRun = workflowInfo().runId !== '';",
    ],
    test: {
      file: 'test/workflow/reset-hold.test.ts',
      name: 'an old answer to a hold > given by Update, does not pay again after a reset',
    },
  },
  {
    name: 'other-input-attaches',
    breaks: 'Another input under the same Workflow ID needs a larger take.',
    file: 'src/client.ts',
    replace: ['if (same) return;', 'if (same !== null) return;'],
    test: {
      file: GENERATE_MEDIA,
      name: 'paid once > under one Workflow ID: another input is refused by name, never charged',
    },
  },
  {
    name: 'any-task-is-taken-up',
    breaks: 'A task that somebody names must be of the model that was asked for.',
    file: 'workflows/generation.ts',
    replace: ['if (task.model !== null && task.model !== this.#input.model)', "if (task.model === '')"],
    test: { file: GENERATE_MEDIA, name: 'never lost > a task of another model, or of nobody, is not taken up' },
  },
  {
    name: 'cron-accepted',
    breaks: 'A cron Workflow, whose runs share one key, is refused.',
    file: 'workflows/input.ts',
    replace: ["info.cronSchedule !== ''", "info.cronSchedule === ''"],
    test: {
      file: GENERATE_MEDIA,
      name: 'bad input costs nothing > a cron Workflow is refused before the POST, with the advice to use a Schedule',
    },
  },
  {
    name: 'random-child-accepted',
    breaks: 'A child with a random ID, which a reset of its parent pays again, is refused.',
    file: 'workflows/input.ts',
    replace: ['RANDOM_ID.test(info.workflowId)', "info.workflowId === ''"],
    test: {
      file: GENERATE_MEDIA,
      name: 'bad input costs nothing > a child with a random ID is refused before the POST: a reset of its parent would pay again',
    },
  },

  // Waiting.
  {
    name: 'poll-every-second',
    breaks: 'Two status checks of a task are at least 5 s apart.',
    file: 'src/policy/schedule.ts',
    replace: ['return Math.max(MIN_WAIT_MS, ', 'return Math.min(SECOND, '],
    test: {
      file: SCHEDULE,
      name: 'the API is never polled faster than its page advises > first check after 2 to 3 s, then never two closer than 5 s',
    },
  },
  {
    name: 'check-now-at-once',
    breaks: 'checkNow comes no closer than 5 s to the last check.',
    file: 'workflows/progress.ts',
    replace: ['if (tooSoon > 0)', 'if (tooSoon > MIN_WAIT_MS)'],
    test: {
      file: GENERATE_MEDIA,
      name: 'one generation > never comes closer than 5 s to the last check, also when it is woken',
    },
  },
  {
    name: 'deadline-without-an-answer',
    breaks: 'A deadline passes only on an answer to a status check.',
    file: 'workflows/generation.ts',
    replace: ['} else if (wait.checked && asOf', '} else if (asOf'],
    test: {
      file: GENERATE_MEDIA,
      name: 'never lost > a deadline that passes while nobody looks ends no job that has finished',
    },
  },
  {
    name: 'deadline-on-an-old-answer',
    breaks: 'A deadline passes only on an answer that was asked for after it.',
    file: 'workflows/generation.ts',
    replace: ['const asOf = task.askedAt ?? now;', 'const asOf = now;'],
    test: {
      file: 'test/full/weekend.test.ts',
      name: 'a job that finished while the deadline passed is delivered > when the last answer came before the deadline, and no Worker was there to read it',
    },
  },
  {
    name: 'no-rate-limit',
    breaks: 'Every Worker that calls the API sends the limit, which the Service enforces over all of them.',
    file: 'src/worker/workers.ts',
    replace: ['maxTaskQueueActivitiesPerSecond: activitiesPerSecond(settings.rateLimitPerMinute),', ''],
    test: {
      file: 'test/worker/rate.test.ts',
      name: 'the Workers that call the API tell the Service the limit of the settings',
    },
  },
  {
    name: 'second-plugin-dropped',
    breaks: 'No spending policy of a plugin is left out without a word.',
    file: 'src/worker/plugin.ts',
    replace: ['this.#refuseAnother(plugins);', ''],
    test: {
      file: 'test/worker/plugin.test.ts',
      name: 'what cannot work is refused at start, by name > a second plugin with another policy: one of them would do nothing',
    },
  },
  {
    name: 'retry-after-ignored',
    breaks: 'A call is repeated no earlier than the API asked.',
    file: 'activities/paid-post.ts',
    replace: [
      'const { code, retryAfterMs } = error;',
      'const { code, retryAfterMs } = { ...error, retryAfterMs: null };',
    ],
    test: { file: GENERATE_MEDIA, name: 'paid once > when the API is busy: repeated no earlier than it asked' },
  },
  {
    name: 'delay-of-nothing',
    breaks: 'A Retry-After of 0 makes no hot loop.',
    file: 'src/policy/retry.ts',
    replace: ['Math.max(minMs, MIN_DELAY_MS, jittered, asked)', 'retryAfterMs === null ? jittered : asked'],
    test: {
      file: SCHEDULE,
      name: 'a repeated call never hammers and never stops > every delay is from 1 s to 10 min, whatever the API asks for',
    },
  },

  // Secrets.
  {
    name: 'key-in-a-log-line',
    breaks: 'The API key is in no log line.',
    file: 'activities/submit.ts',
    replace: ["log.info('submitted', {", "log.info('submitted', { key: (await dependencies.keys.current())?.reveal(),"],
    test: {
      file: SUBMIT,
      name: 'an attempt posts once and tells the task > and its log lines name the task, never the API key',
    },
  },
  {
    name: 'key-echoed',
    breaks: 'An API key that the API repeats is taken out of what it says.',
    file: 'src/api/reply.ts',
    replace: [
      "typeof field === 'string' && WORDS.has(name) ? scrub(field, key) : field",
      'WORDS.has(name) ? field : field',
    ],
    test: { file: REPLIES, name: 'the key stays out of everything (P6) > a failed task that echoes it' },
  },
  {
    name: 'key-in-an-error',
    breaks: 'An API key that comes back in a header is in no error.',
    file: 'src/api/reply.ts',
    replace: ["value === null ? '' : scrub(value, key).replace(", "value === null ? '' : value.replace("],
    test: { file: REPLIES, name: 'the key stays out of everything (P6) > request ID header that echoes it' },
  },
  {
    name: 'key-shown-by-its-type',
    breaks: 'The type of the API key prints itself as [redacted].',
    file: 'src/api/secret.ts',
    replace: ['toJSON(): string {\n    return REDACTED;', 'toJSON(): string {\n    return this.#value;'],
    test: { file: 'test/api/units.test.ts', name: 'Secret > shows itself in no form but reveal()' },
  },

  // References.
  {
    name: 'reference-by-address',
    breaks: 'A request is known by the bytes of its references, not by the addresses of their uploads.',
    file: 'activities/submit.ts',
    replace: ['bodyDigest: digest ?? bodyDigest(body)', 'bodyDigest: bodyDigest(body)'],
    test: {
      file: 'test/workflow/references.test.ts',
      name: 'an upload that the API has lost as well is made again, and its task is the same: without a store',
    },
  },
  {
    name: 'uploads-forgotten',
    breaks: 'What this account has uploaded is not uploaded again.',
    file: 'activities/upload.ts',
    replace: ['if (upload === undefined) return null;', 'if (upload?.url !== "") return null;'],
    test: {
      file: 'test/workflow/references.test.ts',
      name: 'one reference > is uploaded once for many generations and attempts',
    },
  },
  {
    name: 'way-out-of-the-roots',
    breaks: 'A local reference lies below a root, also behind every link.',
    file: 'src/storage/sources.ts',
    replace: ['isBelow(real, within)', 'real !== within'],
    test: {
      file: 'test/storage/sources.test.ts',
      name: 'a root that is a link itself is a root, and a way out of it none',
    },
  },

  // Results and money.
  {
    name: 'partial-file',
    breaks: 'A file has its final name only when it is whole.',
    file: 'src/storage/file-store.ts',
    replace: ['const part = path.join(this.#directory, PARTS, randomUUID());', 'const part = target;'],
    test: {
      file: 'test/storage/results.test.ts',
      name: 'a stored result > appears under its name when it is whole, and not before',
    },
  },
  {
    name: 'private-address-asked',
    breaks: 'A name that resolves to addresses of a private network is not connected to.',
    file: 'src/storage/media-hosts.ts',
    replace: ['found.filter(({ address }) => isPublic(address))', 'found'],
    test: {
      file: 'test/storage/media-hosts.test.ts',
      name: 'a link to a host that is not trusted > is refused by what its name means at that moment, and nobody is connected to: loopback',
    },
  },
  {
    name: 'other-file-joined',
    breaks: 'The rest of a broken download is taken only where it begins at the byte that is wanted.',
    file: 'src/storage/download.ts',
    replace: ['startsWith(`bytes ${rest.from}-`)', "startsWith('bytes')"],
    test: {
      file: 'test/storage/results.test.ts',
      name: 'a download that breaks off > never joins what does not belong together: another part, as long as the right one',
    },
  },
  {
    name: 'name-taken',
    breaks: 'The result of another task does not lose its name.',
    file: 'src/storage/results.ts',
    replace: ['if (sidecar?.taskId === input.taskId) return', 'if (sidecar !== null) return'],
    test: {
      file: 'test/storage/results.test.ts',
      name: 'a stored result > of another task under the same name, as from another namespace, takes nothing away',
    },
  },
  {
    name: 'name-not-claimed',
    breaks: 'Two results that arrive under one name at the same time do not replace each other.',
    file: 'src/storage/results.ts',
    replace: ['if (claimed && parsed(Claim, claim)?.taskId !== input.taskId) continue;', ''],
    test: {
      file: 'test/storage/results.test.ts',
      name: 'a stored result > of two tasks that begin at the same moment under the same name: each is there, whole, at once or when tried again',
    },
  },
  {
    name: 'credits-invented',
    breaks: 'Credits that the API does not tell are unknown, not 0.',
    file: 'src/api/schemas.ts',
    replace: [
      'const credits = z.number().nonnegative().nullable().catch(null);',
      'const credits = z.number().nonnegative().nullable().catch(0);',
    ],
    test: {
      file: 'test/api/units.test.ts',
      name: 'what comes back > credits {"current_credits":"many"} are unknown, not an error',
    },
  },

  // In other people's Workers.
  {
    name: 'budget-ignored',
    breaks: 'Nothing is sent that starts at more than options.maxCredits.',
    file: 'activities/paid-post.ts',
    replace: ['() => checkBudget(input.maxCredits, head, spending)', 'async () => undefined'],
    test: {
      file: 'test/workflow/budget.test.ts',
      name: 'options.maxCredits > refuses a model that starts at more, before anything is sent',
    },
  },
  {
    name: 'items-with-a-key-of-their-own',
    breaks: 'Items of generateAll that turn from steps into children are paid once.',
    file: 'workflows/generate-all.ts',
    replace: [
      'runGeneration(child.generation, child.step, child.workflowId)',
      'runGeneration(child.generation, child.step)',
    ],
    test: {
      file: 'test/workflow/generate-all.test.ts',
      name: 'each is paid once > when ten become eleven, so that they turn from steps into children',
    },
  },
  {
    name: 'policy-skipped',
    breaks: 'No input can exceed the spending policy of the Worker.',
    file: 'activities/paid-post.ts',
    replace: ['() => checkPolicy(spending, asked)', 'async () => undefined'],
    test: {
      file: 'test/workflow/policy.test.ts',
      name: 'a denial names rule and file, says that nothing was paid, and is not repeated > models: {"model":"sora-2","prompt":"another model"}',
    },
  },
  {
    name: 'policy-forgets-the-paid',
    breaks: 'A submit that may have been paid is never denied.',
    file: 'activities/paid-post.ts',
    replace: ['if (told?.sent !== true && known?.noted !== true) {', '{'],
    test: {
      file: 'test/workflow/policy.test.ts',
      name: 'what is paid or may be is never denied, under rules that deny everything',
    },
  },
  {
    name: 'memo-proves-a-submit',
    breaks: 'A made-up memo is no way around the spending policy.',
    file: 'activities/paid-post.ts',
    replace: ['if (told?.sent !== true && known?.noted !== true) {', 'if (open === null) {'],
    test: { file: 'test/workflow/policy.test.ts', name: 'nor can a memo of a run that never was say so' },
  },
  {
    name: 'newest-run-alone',
    breaks: 'A start that is cancelled before it submits hides nothing of an earlier one.',
    file: 'activities/recall.ts',
    replace: ['    if (riskAccepted) break;', '    break;'],
    test: {
      file: 'test/workflow/hidden-unanswered.test.ts',
      name: 'a start that is cancelled while no Worker takes submits does not hide what an earlier one left > open: the next start does not post it blind',
    },
  },
  {
    name: 'cancelled-step-left-nothing',
    breaks: 'A step that is cancelled between two attempts may have been paid for.',
    file: 'activities/history.ts',
    replace: ['told: cancelled == null || details !== null', 'told: true'],
    test: {
      file: 'test/workflow/hidden-unanswered.test.ts',
      name: 'a step that is cancelled between two attempts is not posted blind after the window > oneStep',
    },
  },
  {
    name: 'risk-accepted-for-ever',
    breaks: 'A reset does not pay once more for what a person once accepted.',
    file: 'activities/paid-post.ts',
    replace: [
      'return riskAcceptedAt !== undefined && (fence.riskAcceptedAt ?? -Infinity) >= riskAcceptedAt;',
      'return false;',
    ],
    test: {
      file: 'test/workflow/reset-hold.test.ts',
      name: 'an accepted risk > is not accepted once more by a reset to where its submit was under way (with a store)',
    },
  },
  {
    name: 'claims-looked-at-once',
    breaks: 'One task is not taken by two generations that are told it at the same time.',
    file: 'workflows/generation.ts',
    replace: ["claimedFor !== undefined && patched('claims-again')", 'false'],
    test: {
      file: 'test/workflow/owner.test.ts',
      name: 'without a store > one task that two people name at the same time for two generations is not taken by both',
    },
  },
  {
    name: 'claim-becomes-a-fact',
    breaks: 'A task that a person has only named is not that of the generation which is started again.',
    file: 'activities/recall.ts',
    replace: ['const taskId = taskIn(memo);', 'const { taskId = null } = memo;'],
    test: {
      file: 'test/workflow/claims.test.ts',
      name: 'a claim that is cut off before its second look, without a store > is no task of the generation when that is started again: its own is still looked for',
    },
  },
  {
    name: 'claim-outlives-its-run',
    breaks: 'A claim that was cut off does not keep the task from the generation that it belongs to.',
    file: 'activities/holders.ts',
    replace: ['open ? named : taskIn(memo)', 'named'],
    test: {
      file: 'test/workflow/claims.test.ts',
      name: 'a claim that is cut off before its second look, without a store > does not keep the task from the generation that it belongs to',
    },
  },
  {
    name: 'claim-noted-without-model',
    breaks: 'No receipt of a generation names a task of which nobody knows the model.',
    file: 'activities/check.ts',
    replace: ['claimsAgain || answer.task.model === null', 'claimsAgain'],
    test: {
      file: 'test/workflow/claims.test.ts',
      name: 'a claim that is cut off before its second look, with receipts in a store > leaves nothing behind where the API does not tell its model at all',
    },
  },
  {
    name: 'claim-cannot-be-given-up',
    breaks: 'What a person says while the look at a claimed task is held is not acknowledged and then ignored.',
    file: 'workflows/generation.ts',
    replace: ["patched('claim-given-up')", 'tries < 0'],
    test: {
      file: 'test/workflow/claims.test.ts',
      name: 'a claim whose second look is held > is given up for another task that the person names',
    },
  },
  {
    name: 'look-from-before-the-claim',
    breaks: 'A claim is not judged by a look that had begun before it was there.',
    file: 'activities/holders.ts',
    replace: ['this.#last.asked >= asked', 'this.#last.asked > 0'],
    test: {
      file: 'test/workflow/clock-ahead.test.ts',
      name: 'one task that two people name at the same time is taken by one at most, also where the clock of the Worker is ahead',
    },
  },
  {
    name: 'unread-answers-not-seen',
    breaks: 'A task whose Workflow was terminated before it read the answer is not given to another generation.',
    file: 'activities/holders.ts',
    replace: [
      'if (untold.length < HISTORIES && mayTellMore(run))',
      'if (untold.length > HISTORIES && mayTellMore(run))',
    ],
    test: {
      file: 'test/workflow/claims.test.ts',
      name: 'a task that only the history of a terminated Workflow knows is not given to another generation',
    },
  },
  {
    name: 'each-claim-looks-by-itself',
    breaks: 'Many claims at once do not keep the Service busy for ever.',
    file: 'activities/holders.ts',
    replace: ['this.#next ??= this.#begin();', 'this.#next = this.#begin();'],
    test: {
      file: 'test/activities/holders.test.ts',
      name: 'one look serves all who asked before it began; who asks later gets a later one',
    },
  },
  {
    name: 'digest-believed',
    breaks: 'No input gets around the references that a policy allows by naming the digest of another file.',
    file: 'activities/upload.ts',
    replace: ["'sha256' in source && believed ? source.sha256", "'sha256' in source ? source.sha256"],
    test: {
      file: 'test/workflow/policy.test.ts',
      name: 'references > are not known by a digest alone, which anybody can write into an input',
    },
  },
  {
    name: 'wiped-by-an-unpause',
    breaks: 'The window of a key counts on when an operator has wiped what the attempts had told.',
    file: 'activities/recall.ts',
    replace: [
      'if (workflowExecution === undefined || first ||',
      'if (workflowExecution === undefined || first || attempt > 1 ||',
    ],
    test: {
      file: 'test/workflow/wiped-heartbeat.test.ts',
      name: 'nothing is posted blind after the window > by an unpause that wiped it, before the second attempt',
    },
  },
  {
    name: 'silence-of-a-cut-off-run',
    breaks: 'A submit of a run that was cut off may be unanswered although nothing tells so any more.',
    file: 'activities/history.ts',
    replace: ['told: pending?.heartbeatDetails != null || !begun', 'told: true'],
    test: {
      file: 'test/workflow/wiped-heartbeat.test.ts',
      name: 'nothing is posted blind after the window > by a run that was ended after a reset had wiped it, and started again',
    },
  },
  {
    name: 'stored-refusal-forgotten',
    breaks: 'A Workflow that failed on a refusal which the API has stored can be started again.',
    file: 'activities/paid-post.ts',
    replace: ['refusals.includes(error.requestId)', 'false'],
    test: {
      file: 'test/workflow/stored.test.ts',
      name: 'paid once by a Workflow that fails instead of holding > and was refused in a step',
    },
  },
  {
    name: 'stored-error-forgotten',
    breaks: 'An error that is stored under the key is not asked for until the window ends.',
    file: 'activities/recall.ts',
    replace: ['best.error ?? first.error ?? other.error', 'best.error'],
    test: { file: 'test/activities/oldest.test.ts', name: 'how often an error has come, when both are of one time' },
  },
  {
    name: 'fence-of-another-owner',
    breaks: 'The next attempt reads the fence also through a codec that binds it to its Activity.',
    file: 'activities/heartbeat.ts',
    replace: [
      "type: 'activity', namespace, activityId,",
      "type: 'activity', namespace, activityId: `of ${activityId}`,",
    ],
    test: {
      file: 'test/activities/heartbeat.test.ts',
      name: 'a fence is encoded for the Activity that it belongs to, as the SDK decodes it for the next attempt',
    },
  },
  {
    name: 'named-task-forgotten',
    breaks: 'The task that a person named for a step is known when the step is run again.',
    file: 'activities/history.ts',
    replace: ['submits[index] = { ...submit, result: { task }, open: null };', 'submits[index] = submit;'],
    test: {
      file: 'test/workflow/remembered.test.ts',
      name: 'where only Temporal remembers > the task that a person named for a step is the answer when the step is run again in the same run',
    },
  },
  {
    name: 'a-failed-task-hides-others',
    breaks: 'A task that failed does not end the look at what else its Workflow ID has left behind.',
    file: 'src/cli/ended.ts',
    replace: [
      'tasks.find(({ taskId }) => !failed.has(taskId))',
      'tasks.slice(0, 1).find(({ taskId }) => !failed.has(taskId))',
    ],
    test: {
      file: 'test/cli/ended.test.ts',
      name: 'a task, although a run that took up another one has seen that fail',
    },
  },
  {
    name: 'unanswered-hidden-by-a-newer-run',
    breaks: 'A run that had not looked at those before it does not answer what they left without an answer.',
    file: 'src/cli/charges-sources.ts',
    replace: ['looked ||= lookedBy === run.runId ||', 'looked ||= lookedBy !== run.runId ||'],
    test: {
      file: 'test/cli/charges-of.test.ts',
      name: 'what the memos of all runs of an ID say > a newer run that had not looked does not',
    },
  },
];
