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
    name: 'attributes-without-asking',
    breaks: 'No search attribute is written that the namespace lacks: the Workflow would stand still for ever.',
    file: 'workflows/progress.ts',
    replace: ['if (this.state.listable) writeAttributes', 'writeAttributes'],
    test: {
      file: 'test/workflow/search-attributes.test.ts',
      name: 'where the namespace lacks them, nothing is written and everything works > a plain image, a refusal, and a hold before anything was accepted',
    },
  },
  {
    name: 'run-id-in-key',
    breaks: 'Every run of a Workflow ID comes to the same key.',
    file: 'workflows/generation.ts',
    replace: [
      'const { namespace, workflowId } = workflowInfo();',
      'const { namespace, runId: workflowId } = workflowInfo();',
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
    replace: ['attempt >= this.#input.maxAttempts', 'attempt > this.#input.maxAttempts'],
    test: {
      file: GENERATE_MEDIA,
      name: 'never lost > a failed task names itself, the credits and the way to another try',
    },
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
    replace: ['post: openPool(0)', 'post: openPool(1)'],
    test: {
      file: TRANSPORT,
      name: 'a kept connection > is never used for a paid call, whose outcome a late close would hide',
    },
  },
  {
    name: 'no-fence',
    breaks: 'Nothing is posted when the Service refuses the fence.',
    file: 'activities/lease.ts',
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
    file: 'activities/lease.ts',
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
    replace: ['if (maySend?.() === false)', 'if (limitMs < 0)'],
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
    replace: [
      "for.\n      cancellationType: 'WAIT_CANCELLATION_COMPLETED'",
      "for.\n      cancellationType: 'TRY_CANCEL'",
    ],
    test: {
      file: GENERATE_MEDIA,
      name: 'never lost > a cancel during the POST lets it end, and the memo keeps the task ID',
    },
  },
  {
    name: 'late-answer-thrown-away',
    breaks: 'An answer that takes half a minute is taken.',
    file: 'activities/lease.ts',
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
    replace: ['lease.held() && (unanswered === null || inWindow(input, post))', 'lease.held()'],
    test: { file: SUBMIT, name: 'an attempt posts nothing > where that window ends right before the POST' },
  },
  {
    name: 'window-restarts',
    breaks: 'The window counts from the first POST, not from the last.',
    file: 'activities/paid-post.ts',
    replace: [
      '{ firstPostedAt: now, ...unanswered, lastPostedAt: now, fingerprint }',
      '{ ...unanswered, firstPostedAt: now, lastPostedAt: now, fingerprint }',
    ],
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
    replace: ['if (first) return {', 'if (first || lastBeat === undefined || lastBeat === null) return {'],
    test: {
      file: 'test/workflow/unknown.test.ts',
      name: 'the window > is not passed by a reset of the Activity that also wipes its heartbeat',
    },
  },
  {
    name: 'reset-activity-is-a-first-attempt',
    breaks: 'An Activity that was reset counts its attempts anew, and is no first attempt.',
    file: 'activities/paid-post.ts',
    replace: ['attempt === 1 && currentAttemptScheduledTimestampMs === scheduledTimestampMs', 'attempt === 1'],
    test: {
      file: SUBMIT,
      name: 'a retry without heartbeat details assumes an unanswered POST since it was scheduled > and posts nothing after it: a first one after a reset of the Activity, which counts anew',
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
    replace: ['beat = { ...before, posted:', 'beat = { ...before, unanswered: null, posted:'],
    test: {
      file: GENERATE_MEDIA,
      name: 'never lost > a refusal after an unanswered submit still says that a task may exist, and takes its ID',
    },
  },
  {
    name: 'refusal-stays-unanswered',
    breaks: 'After a known refusal nothing is unanswered: a key that is rotated then holds nobody.',
    file: 'activities/paid-post.ts',
    replace: [
      'if (noting) await receipts?.noteSubmit(head, { unanswered: beat.unanswered, riskReason });',
      'void noting;',
    ],
    test: { file: 'test/workflow/receipts.test.ts', name: 'a receipt > of a refusal leaves nothing unanswered' },
  },
  {
    name: 'attempt-leaves-no-word',
    breaks: 'An attempt that posted nothing says so before it fails, so that the next one does not assume a POST.',
    file: 'activities/paid-post.ts',
    replace: ['const renewed = await lease.renew(beat).then(', 'const renewed = await Promise.resolve(beat).then('],
    test: {
      file: SUBMIT,
      name: 'what an attempt leaves to the next one, acknowledged, before it fails > nothing posted, where it had no API key',
    },
  },
  {
    name: 'conflict-is-final',
    breaks: 'A conflict may come from our own POST that still runs, so it is repeated.',
    file: 'activities/submit-failure.ts',
    replace: ['judgeSubmit(error, unanswered !== null)', 'judgeSubmit(error, false)'],
    test: { file: SUBMIT, name: 'a conflict > while an own earlier POST may still run is repeated' },
  },
  {
    name: 'conflict-is-repeated-for-ever',
    breaks: 'A conflict on a key that nobody posted before is another input, and is told at once.',
    file: 'activities/submit-failure.ts',
    replace: ['if (conflict && unanswered === null)', 'if (conflict && unanswered !== null)'],
    test: { file: SUBMIT, name: 'a conflict > on a key that nobody posted is InputChanged after one POST' },
  },
  {
    name: 'not-retried-list-empty',
    breaks: 'A refused submit is not repeated.',
    file: 'workflows/activities.ts',
    replace: ['[...NOT_RETRIED]', 'NOT_RETRIED.slice(0, 0)'],
    test: {
      file: GENERATE_MEDIA,
      name: 'never lost > a refusal fails with the code of the API after one POST and nothing paid',
    },
  },
  {
    name: 'key-number-moves-after-unanswered',
    breaks: 'The key number stays as long as a task may exist under it.',
    file: 'workflows/submission.ts',
    replace: [
      'const onlyRefused = end.posted && !unanswered && end.code',
      'const onlyRefused = end.posted && end.code',
    ],
    test: {
      file: 'test/workflow/key-number.test.ts',
      name: 'with an API that stores no refusal > it stays where an earlier POST of the key has no answer: the task is found under it',
    },
  },

  // Recall.
  {
    name: 'no-recall-from-other-runs',
    breaks: 'Other runs of the Workflow ID are asked for the task before anything is posted.',
    file: 'activities/recall.ts',
    replace: [
      'const runIds = await runIdsOf(client, workflowId);',
      'const runIds = (await runIdsOf(client, workflowId))?.slice(0, 0) ?? null;',
    ],
    test: {
      file: RECALL,
      name: 'without a store > paid once although the API forgot the key > after terminate and a second start',
    },
  },
  {
    name: 'no-recall-from-receipts',
    breaks: 'The receipts are asked for the task before anything is posted.',
    file: 'activities/recall.ts',
    replace: ['factsOfReceipts(await source.readReceipts())', 'factsOfReceipts<Answer>({ submit: null, answers: [] })'],
    test: {
      file: SUBMIT,
      name: 'an attempt posts nothing > where a receipt knows the task, although neither Temporal nor the API remembers',
    },
  },
  {
    name: 'looks-at-nothing',
    breaks: 'A run looks at receipts and earlier runs before its first POST.',
    file: 'activities/paid-post.ts',
    replace: ['if (!again || beat.unanswered !== null) {', 'if (again && beat.posted) {'],
    test: {
      file: SUBMIT,
      name: 'before its first POST a run looks at the others of its Workflow ID > and takes the task that one of them has got',
    },
  },
  {
    name: 'look-of-another-run-believed',
    breaks: 'A run does not rely on the look of the run before a reset.',
    file: 'activities/paid-post.ts',
    replace: ['looked: lookedBy === runId', 'looked: lookedBy !== null'],
    test: {
      file: SUBMIT,
      name: 'before its first POST a run looks at the others of its Workflow ID > again, where the run that had looked was another one, as after a reset',
    },
  },
  {
    name: 'digest-not-compared',
    breaks: 'A recalled task is of the same request body.',
    file: 'activities/paid-post.ts',
    replace: ['recalled.bodyDigest !== head.bodyDigest', "recalled.bodyDigest === ''"],
    test: {
      file: RECALL,
      name: 'without a store > paid once although the API forgot the key > and another input under the same ID never gets the result of the first, nor hides it',
    },
  },
  {
    name: 'no-receipt-before-the-post',
    breaks: 'A receipt is written before the POST.',
    file: 'activities/paid-post.ts',
    replace: [
      "if (receipts !== null) await sideEffect(onStep, 'receipt', () => receipts.noteSubmit(head, submit));",
      'void submit;',
    ],
    test: { file: SUBMIT, name: 'an attempt posts nothing > where its receipt cannot be written' },
  },
  {
    name: 'task-lost-with-its-receipt',
    breaks: 'A task is told although its receipt cannot be written.',
    file: 'activities/submit.ts',
    replace: [
      "await tryToNote(() => sideEffect(onStep, 'receipt', () => receipts.noteTask(head, task)))",
      "await sideEffect(onStep, 'receipt', () => receipts.noteTask(head, task))",
    ],
    test: {
      file: SUBMIT,
      name: 'an attempt posts once and tells the task > also where the receipt of the task cannot be written',
    },
  },

  {
    name: 'no-chat-from-receipts',
    breaks: 'The receipts are asked for the answer to a chat before anything is posted.',
    file: 'activities/chat.ts',
    replace: ['() => chats.find(baseKey)', '() => chats.find(`${baseKey}-`)'],
    test: {
      file: 'test/activities/chat.test.ts',
      name: 'the receipt of a chat > brings back the answer, without a POST',
    },
  },
  {
    name: 'answered-chat-forgotten',
    breaks: 'A chat that was answered goes on saying in its memo that it was posted, where no store has its answer.',
    file: 'workflows/rivya-chat.ts',
    replace: ["phase: 'succeeded', submittingSince,", "phase: 'succeeded',"],
    test: {
      file: 'test/workflow/chat.test.ts',
      name: 'a chat that was answered is not paid again > after a reset, without a store: the API repeats its answer within the window; after it a person decides',
    },
  },

  {
    name: 'task-of-a-killed-attempt-forgotten',
    breaks: 'An attempt looks at the receipts again where the one before it may have noted its task.',
    file: 'activities/paid-post.ts',
    replace: ['if (!again || beat.unanswered !== null) {', 'if (!again) {'],
    test: {
      file: SUBMIT,
      name: 'an attempt posts nothing > after an attempt whose Worker was killed once it had noted its task, although the API forgets keys',
    },
  },

  // What a person decides.
  {
    name: 'bare-resume-posts-again',
    breaks: 'After SubmitUnresolved, only a reason or a task ID resumes.',
    file: 'src/policy/resume.ts',
    replace: ['hold.code !== FAILURE.SubmitUnresolved ||', 'hold.code === FAILURE.SubmitUnresolved ||'],
    test: {
      file: GENERATE_MEDIA,
      name: 'never lost > an unanswered submit outside the window holds, and goes on with the task that was found',
    },
  },
  {
    name: 'other-input-attaches',
    breaks: 'Another input under the same Workflow ID is refused.',
    file: 'src/client.ts',
    replace: [
      'if (!policy.isSameInput(wanted, existing)) throw other(',
      'if (!policy.isSameInput(existing, existing) && wanted) throw other(',
    ],
    test: {
      file: GENERATE_MEDIA,
      name: 'paid once > under one Workflow ID: another input is refused by name, never charged',
    },
  },
  {
    name: 'any-task-is-taken-up',
    breaks: 'A task that somebody names must be of the model that was asked for.',
    file: 'workflows/generation.ts',
    replace: [
      'if (task.model === this.#input.model || (task.model === null && by === undefined)) return task;',
      "if (task.model !== '' || by !== undefined) return task;",
    ],
    test: { file: GENERATE_MEDIA, name: 'never lost > a task of another model, or of nobody, is not taken up' },
  },
  {
    name: 'task-of-another-generation',
    breaks: 'A task that a person names belongs to no other generation, as far as the receipts tell.',
    file: 'activities/named.ts',
    replace: ['owner.baseKey !== baseKey', "owner.baseKey === ''"],
    test: {
      file: 'test/activities/check.test.ts',
      name: "a task that a person names for an unanswered POST > is refused by name: another generation's",
    },
  },
  {
    name: 'task-of-another-time',
    breaks: 'A task that a person names was created while its submit was posted.',
    file: 'activities/named.ts',
    replace: ['createdAt >= firstPostedAt - TOLERANCE_MS &&', 'createdAt > 0 &&'],
    test: {
      file: 'test/activities/check.test.ts',
      name: 'a task that a person names for an unanswered POST > is refused by name: created long before',
    },
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
    replace: ['!RANDOM_ID.test(workflowId)', "workflowId !== ''"],
    test: {
      file: GENERATE_MEDIA,
      name: 'bad input costs nothing > a child with a random ID is refused before the POST: a reset of its parent would pay again',
    },
  },

  // Waiting.
  {
    name: 'plan-beyond-the-deadline',
    breaks: 'The deadline of a generation holds, whatever earlier tasks say.',
    file: 'workflows/generation.ts',
    replace: ['Math.min(checkInMs, this.#deadline - waitedMs)', 'checkInMs'],
    test: { file: 'test/workflow/learned.test.ts', name: 'a plan does not pass the deadline' },
  },
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
    replace: ['} else if (wait.checked && waitedMs', '} else if (waitedMs'],
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
    replace: ['maxTaskQueueActivitiesPerSecond: activitiesPerSecond(perMinute),', ''],
    test: {
      file: 'test/worker/rate.test.ts',
      name: 'the Workers that call the API tell the Service the limit of the settings',
    },
  },
  {
    name: 'second-set-dropped',
    breaks: 'No spending policy of a second set of Workers is ignored.',
    file: 'src/worker/shared.ts',
    replace: ['if (names.length > 0) {', 'if (names.length > 99) {'],
    test: {
      file: 'test/worker/plugin.test.ts',
      name: 'what cannot work is refused at start, by name > a second set with another policy on one task queue',
    },
  },
  {
    name: 'retry-after-ignored',
    breaks: 'A call is repeated no earlier than the API asked.',
    file: 'activities/failure.ts',
    replace: ['retryIn(error, minDelayMs)', 'retryIn({ ...error, retryAfterMs: null }, minDelayMs)'],
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
    file: 'activities/paid-post.ts',
    replace: ['const bodyDigest = digest ?? digestOf(body);', 'const bodyDigest = digestOf(body);'],
    test: {
      file: 'test/workflow/references.test.ts',
      name: 'an upload that the API has lost as well is made again, and its task is the same: without a store',
    },
  },
  {
    name: 'uploads-forgotten',
    breaks: 'What this account has uploaded is not uploaded again.',
    file: 'activities/upload.ts',
    replace: ['if (upload === null) return null;', 'if (upload?.url !== "") return null;'],
    test: {
      file: 'test/workflow/references.test.ts',
      name: 'one reference > is uploaded once for many generations and attempts',
    },
  },
  {
    name: 'way-out-of-the-roots',
    breaks: 'A local reference lies below a root, also behind every link.',
    file: 'src/storage/sources.ts',
    replace: ['isInside(real, within)', 'real !== within'],
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
    replace: ['if (claimed && parseJson(Claim, claim)?.taskId !== input.taskId) continue;', ''],
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
      'const credits = orNull(z.number().nonnegative());',
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
    replace: ['if (!proven) {', '{'],
    test: {
      file: 'test/workflow/policy.test.ts',
      name: 'what is paid or may be is never denied, under rules that deny everything',
    },
  },
  {
    name: 'memo-proves-a-submit',
    breaks: 'A made-up memo is no way around the spending policy.',
    file: 'activities/paid-post.ts',
    replace: ['if (!proven) {', 'if (unanswered === null) {'],
    test: { file: 'test/workflow/policy.test.ts', name: 'nor can a memo of a run that never was say so' },
  },
  {
    name: 'stops-at-a-run-that-never-looked',
    breaks: 'A start that is cancelled before it submits hides nothing of an earlier one.',
    file: 'activities/facts.ts',
    replace: ['if (paid.lookedBy === runId) return;', 'return;'],
    test: {
      file: SUBMIT,
      name: 'before its first POST a run looks at the others of its Workflow ID > also behind one that never looked, as one that was cancelled before its submit',
    },
  },
  {
    name: 'unreadable-memo-passed-over',
    breaks: 'A memo of this generation that cannot be read keeps the submit waiting.',
    file: 'activities/facts.ts',
    replace: ['if (paid === null) throw new Unreadable(`run ${runId}: ${unread}`);', 'if (paid === null) continue;'],
    test: {
      file: SUBMIT,
      name: 'before its first POST a run looks at the others of its Workflow ID > and waits, where a memo of this generation cannot be read; one that is of something else is passed over',
    },
  },
  {
    name: 'may-post-since-not-written',
    breaks: 'The memo says that a POST may go out before it can.',
    file: 'workflows/submission.ts',
    replace: [
      "progress.update({ phase: 'submitting', idempotencyKey, submittingSince: Date.now() }, true);",
      "progress.update({ phase: 'submitting' }, true);",
    ],
    test: { file: 'test/workflow/unknown.test.ts', name: 'the window > is not passed by terminate and a second start' },
  },
  {
    name: 'cancelled-submit-left-nothing',
    breaks: 'A submit that is cancelled between two attempts may have been paid for.',
    file: 'workflows/submission.ts',
    replace: [
      'if (report !== null) progress.recordSubmit(report);',
      'progress.recordSubmit(report ?? { unanswered: null, looked: false, runId: null, attributes: undefined });',
    ],
    test: {
      file: 'test/workflow/hidden-unanswered.test.ts',
      name: 'a step that is cancelled between two attempts is not posted blind after the window > oneStep',
    },
  },
  {
    name: 'digest-believed',
    breaks: 'No input gets around the references that a policy allows by naming the digest of another file.',
    file: 'activities/upload.ts',
    replace: ['source.sha256 !== undefined && believed)', 'source.sha256 !== undefined)'],
    test: {
      file: 'test/workflow/policy.test.ts',
      name: 'references > are not known by a digest alone, which anybody can write into an input',
    },
  },
  {
    name: 'stored-refusal-forgotten',
    breaks: 'A Workflow that failed on a refusal which the API has stored can be started again.',
    file: 'workflows/submission.ts',
    replace: ["(next === 'fail' || onActionNeeded === 'fail')", "(next === 'fail' && onActionNeeded === 'fail')"],
    test: {
      file: 'test/workflow/stored.test.ts',
      name: 'paid once by a Workflow that fails instead of holding (without a store) > and was refused in a step',
    },
  },
  {
    name: 'stored-error-forgotten',
    breaks: 'An error that is stored under the key is not asked for until the window ends.',
    file: 'activities/recall.ts',
    replace: [
      'const errorRequestId = first.errorRequestId ?? other.errorRequestId;',
      'const { errorRequestId } = first;',
    ],
    test: {
      file: 'test/activities/recall.test.ts',
      name: 'of two unanswered POSTs, what either knows is kept: > the same of the later one',
    },
  },
  {
    name: 'stored-error-not-seen',
    breaks: 'An error that the API has stored under the key holds, and is not asked for again and again.',
    file: 'activities/paid-post.ts',
    replace: ['beat.unanswered.errorRequestId === errorRequestId', "beat.unanswered.errorRequestId === ''"],
    test: {
      file: SUBMIT,
      name: 'a stored error (the same requestId twice) is SubmitUnresolved with stored: true; another one is repeated',
    },
  },
  {
    name: 'highest-number-not-taken',
    breaks: 'What is known of an earlier key number is not that of the present one.',
    file: 'activities/recall.ts',
    replace: [
      'const last = facts.filter((fact) => fact.keyNumber === keyNumber);',
      'const last = facts.filter((fact) => fact.keyNumber <= keyNumber);',
    ],
    test: {
      file: 'test/activities/recall.test.ts',
      name: 'facts are combined > to those of the highest key number: under those before it no task can exist',
    },
  },
  {
    name: 'order-is-another-input',
    breaks: 'The order in which a program writes its params makes no other request.',
    file: 'src/policy/body.ts',
    replace: ['params: sorted(request.params)', 'params: request.params'],
    test: {
      file: 'test/policy/input.test.ts',
      name: 'what is accepted arrives as it was written > the order in which a caller writes fields, at any depth, does not change the bytes; that of a list does',
    },
  },
  {
    name: 'steps-start-at-once',
    breaks: 'Large steps that are started together do not end their Workflow for ever.',
    file: 'workflows/children.ts',
    replace: [
      'if (starting > 0 && starting + bytes > STARTING_BYTES) return false;',
      'if (starting < 0) return false;',
    ],
    test: {
      file: 'test/workflow/generate-all.test.ts',
      name: 'large requests do not end the Workflow, and each is paid once > 20 of 250 kB',
    },
  },
  {
    name: 'child-ends-with-its-parent',
    breaks: 'A paid wait never ends because the Workflow that started it does.',
    file: 'workflows/children.ts',
    replace: ["parentClosePolicy: 'ABANDON',", "parentClosePolicy: 'TERMINATE',"],
    test: {
      file: 'test/workflow/children.test.ts',
      name: 'a child > ends only by itself: its parent is terminated, and its task is still waited for',
    },
  },
  {
    name: 'fence-of-another-owner',
    breaks: 'The next attempt reads the fence also through a codec that binds it to its Activity.',
    file: 'activities/lease.ts',
    replace: [
      "type: 'activity', namespace, activityId,",
      "type: 'activity', namespace, activityId: `of ${activityId}`,",
    ],
    test: {
      file: 'test/activities/lease.test.ts',
      name: 'a fence is encoded for the Activity that it belongs to, as the SDK decodes it for the next attempt',
    },
  },
  {
    name: 'a-failed-task-hides-others',
    breaks: 'A task that failed does not end the look at what else its Workflow ID has left behind.',
    file: 'src/cli/ended.ts',
    replace: [
      'records.find(({ answer }) => answer !== null && !failed.has(answer.taskId))',
      'records.slice(0, 1).find(({ answer }) => answer !== null && !failed.has(answer.taskId))',
    ],
    test: {
      file: 'test/cli/ended.test.ts',
      name: 'a task, although a run that took up another one has seen that fail',
    },
  },
  {
    name: 'unanswered-hidden-by-a-newer-run',
    breaks: 'A run that had not looked at those before it does not answer what they left without an answer.',
    file: 'src/cli/key-records.ts',
    replace: ['looked ||= lookedBy === run.runId ||', 'looked ||= lookedBy !== run.runId ||'],
    test: {
      file: 'test/cli/charges-of.test.ts',
      name: 'what the memos of all runs of an ID say > a newer run that had not looked does not',
    },
  },
  {
    name: 'first-page-for-the-list',
    breaks: 'A model that is not on the first page of the list of models is not refused.',
    file: 'src/policy/listed.ts',
    replace: ['if (!whole || models.length === 0) return null;', 'if (models.length === 0) return null;'],
    test: {
      file: 'test/policy/listed.test.ts',
      name: 'not refused: a model that is not on the first page',
    },
  },
  {
    name: 'unanswered-post-judged-by-the-list',
    breaks: 'An unanswered POST is repeated, whatever the list of models says by now.',
    file: 'activities/paid-post.ts',
    replace: [
      'if (unanswered === null) {\n      await lease.keep(beat, () => checkListed',
      '{\n      await lease.keep(beat, () => checkListed',
    ],
    test: {
      file: 'test/activities/submit.test.ts',
      name: 'an attempt posts once and tells the task > after an unanswered POST, whatever the list of models says by now',
    },
  },
  {
    name: 'upload-judged-before-the-recall',
    breaks:
      'A paid generation with a reference is recalled, whatever the list of models and the spending policy say by now.',
    file: 'activities/upload.ts',
    replace: ['if (!this.#posted) throw refusal;', 'throw refusal;'],
    test: {
      file: 'test/activities/upload.test.ts',
      name: 'a model that the list or the spending policy refuses by now > list > a receipt has a task: the file is uploaded, without the model that the API may have no more',
    },
  },

  // Batches.
  {
    name: 'line-in-item-id',
    breaks:
      'The place of a line is no part of the ID of its item: the others would be paid again when a line is added.',
    file: 'src/batch/input/items.ts',
    replace: ['derivedId(generation, digest)', 'derivedId(generation, `${line}${digest}`)'],
    test: { file: 'test/batch/input-ids.test.ts', name: 'moving, adding or editing other lines changes no ID' },
  },
  {
    name: 'one-workflow-for-two-contents',
    breaks: 'Another content under an ID of a batch gets a Workflow of its own, and the first one keeps its own.',
    file: 'src/batch/input/items.ts',
    replace: ['earlier.get(id) ?? digest', "earlier.get('') ?? digest"],
    test: {
      file: 'test/batch/input-change.test.ts',
      name: 'a content that was edited and then taken back has the Workflow that it had, so it is not paid again',
    },
  },
  {
    name: 'changed-input-file',
    breaks: 'What is started is what was checked: a file that changes in between is refused.',
    file: 'src/batch/input/read.ts',
    replace: ['digestWith(again, file, options) !== about.source', "digestWith(again, file, options) === ''"],
    test: {
      file: 'test/batch/input-ids.test.ts',
      name: 'a file that changes while it is read is refused > another carried value',
    },
  },
  {
    name: 'batch-without-a-limit',
    breaks: 'Without a terminal a batch spends only with --yes and a limit of credits.',
    file: 'src/cli/batch-plan.ts',
    replace: [
      '(!pays || maxCredits !== null || process.stdin.isTTY)',
      '(!pays || maxCredits !== 0 || process.stdin.isTTY)',
    ],
    test: {
      file: 'test/cli/batch-input.test.ts',
      name: 'without a terminal > credits are spent only with --yes and a limit',
    },
  },
  {
    name: 'emulator-and-api-in-one-batch',
    breaks: 'Tasks of the emulator and of the API are never in one batch.',
    file: 'src/cli/batch-plan.ts',
    replace: ['if (api === place.api) return;', "if (api === place.api || api === 'emulator') return;"],
    test: {
      file: 'test/cli/batch-input.test.ts',
      name: 'another batch than was meant > a batch of the emulator with a real key',
    },
  },
  {
    name: 'report-unescaped',
    breaks: 'A prompt is a text in the report of a batch, and no part of its page.',
    file: 'src/batch/report.ts',
    replace: ['shown.replace(/[&<>"\']/g,', 'shown.replace(/[&]/g,'],
    test: {
      file: 'test/batch/results.test.ts',
      name: 'the report > escapes what comes from outside, wherever it stands',
    },
  },
  // Batches.
  {
    name: 'batch-revives-items',
    breaks: 'A batch starts no item that Temporal knows.',
    file: 'src/batch/outcome.ts',
    replace: ["retry === null ? 'REJECT_DUPLICATE' : 'ALLOW_DUPLICATE'", "'ALLOW_DUPLICATE'"],
    test: {
      file: 'test/workflow/batch.test.ts',
      name: 'paid once > an item that Temporal knows and the store does not is not started again, and is recorded',
    },
  },
  {
    name: 'batch-takes-another-run',
    breaks: 'A run of another request is not taken for the result of an item of a batch.',
    file: 'src/batch/outcome.ts',
    replace: ['identityOf(readInput(input)).digest === item.digest', 'true'],
    test: {
      file: 'test/workflow/batch.test.ts',
      name: 'paid once > a run of another request under the ID of an item is not its result',
    },
  },
  {
    name: 'batch-forgets-gone-items',
    breaks: 'What was paid for items that have left the input counts for the budget of a batch.',
    file: 'src/batch/files.ts',
    replace: ['if (names.size === 0) return;', 'if (names.size >= 0) return;'],
    test: {
      file: 'test/batch/plan.test.ts',
      name: 'the plan > what was paid for items that were edited, dropped, or are to be bought again is spent',
    },
  },
  {
    name: 'batch-ignores-records',
    breaks: 'A batch starts no item that has a record, although Temporal has forgotten it.',
    file: 'src/policy/batch.ts',
    replace: ['return record !== null && record.retry === null;', 'return record !== null && record.retry !== null;'],
    test: {
      file: 'test/policy/batch.test.ts',
      name: 'a record ends an item unless it asks to start it again',
    },
  },
  {
    name: 'gate-ignored',
    breaks: 'Nothing new is paid while the account holds all payments.',
    file: 'activities/paid-post.ts',
    replace: ['else if (!proven) await refuseWhileClosed(closedBy);', ''],
    test: {
      file: 'test/activities/submit.test.ts',
      name: 'while the account holds all payments > nothing new is posted, without a fence, and the failure says so',
    },
  },
  {
    name: 'gate-for-unanswered',
    breaks: 'A POST without an answer is repeated while the account holds all payments: its task may be paid.',
    file: 'activities/paid-post.ts',
    replace: ['else if (!proven) await refuseWhileClosed', 'if (!proven) await refuseWhileClosed'],
    test: {
      file: 'test/activities/submit.test.ts',
      name: 'while the account holds all payments > a POST that nobody has answered is repeated all the same: its task may be paid',
    },
  },
  {
    name: 'pause-ignored',
    breaks: 'After a 429 a Worker makes no call for as long as the API asks.',
    file: 'src/worker/watched.ts',
    replace: ['    await watch.beforeCall();\n', ''],
    test: {
      file: 'test/worker/account.test.ts',
      name: 'an answer 429 > is told with the calls before it, and holds back every call for as long as the API asks',
    },
  },
  {
    name: 'batch-without-probe',
    breaks: 'The budget of a batch is passed by at most one item of each price class.',
    file: 'src/policy/batch.ts',
    replace: ["if (progress.quoted[priceClass] === undefined && this.#probes.has(priceClass)) return 'probing';", ''],
    test: {
      file: 'test/workflow/batch-limits.test.ts',
      name: 'budget and brakes > where the list of models names no price, one item teaches it: the budget is passed by that item at most',
    },
  },
  {
    name: 'batch-forgets-what-runs',
    breaks: 'Items that run count for the budget of a batch.',
    file: 'src/policy/batch.ts',
    replace: ['progress.spentCredits + this.committed;', 'progress.spentCredits;'],
    test: {
      file: 'test/workflow/batch.test.ts',
      name: 'paid once > a look that is repeated after it has started items keeps to window and budget',
    },
  },
  {
    name: 'batch-forgets-what-left',
    breaks: 'Items that leave the list of a batch while they run count for its budget.',
    file: 'src/policy/batch.ts',
    replace: ['this.committed += price * Math.max(1, attempts - made);', ''],
    test: {
      file: 'test/policy/batch.test.ts',
      name: 'budget > an item that has left the manifest counts as the dearest kind until credits are reserved for it',
    },
  },
  {
    name: 'batch-forgets-further-attempts',
    breaks: 'An item counts for the budget with all attempts that it may pay for.',
    file: 'src/policy/batch.ts',
    replace: ['price * Math.max(1, again ? 1 : this.#attempts(priceClass) - made)', 'price'],
    test: {
      file: 'test/policy/batch.test.ts',
      name: 'budget > an item is started only where all attempts that it may pay for fit; those that were not needed are free again',
    },
  },
  {
    name: 'batch-forgets-what-ended-unseen',
    breaks: 'Items that ended while no batch looked, and have left its list since, count for its budget.',
    file: 'src/batch/look.ts',
    replace: ['await recordUnseen(this.#parts, stopped);', ''],
    test: {
      file: 'test/workflow/batch.test.ts',
      name: 'requests > items that end while no batch looks, and leave its input then, are recorded and counted',
    },
  },
  {
    name: 'batch-watch-gives-up',
    breaks: 'Whoever watches a batch sees it as long as its state can be asked for.',
    file: 'src/cli/batch-progress.ts',
    replace: ['const FAILED_LOOKS = 3;', 'const FAILED_LOOKS = 1;'],
    test: {
      file: 'test/cli/batch-watch.test.ts',
      name: 'a look that fails now and then, or twice in a row, ends nothing',
    },
  },
];
