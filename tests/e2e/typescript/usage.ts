// What a console would write against the types that openapi-typescript makes; tsc has to agree with every line.
import type { components, operations, paths } from "./api";

type Schemas = components["schemas"];
type Ask = Schemas["AppointmentIn"];

const patient = { mrn: "123456789", location: "Main Clinic", provider: "Dr. Smith", type: "new_patient" };

export const onTheClock: Ask = { ...patient, date: "2030-01-15", time: "10:00", metadata: { order: ["o-17", 1.5] } };
export const atAnInstant: Ask = { ...patient, datetime: "2030-01-15T10:00:00-05:00", new_patient: "true", note: null };

// @ts-expect-error a start is given
export const withoutStart: Ask = { ...patient };
// @ts-expect-error in one form
export const twoStarts: Ask = { ...patient, date: "2030-01-15", time: "10:00", datetime: "2030-01-15T10:00:00-05:00" };
// @ts-expect-error with a patient
export const nobody: Ask = { location: "Main Clinic", provider: "Dr. Smith", type: "a", date: "2030-01-15", time: "10:00" };
// @ts-expect-error in fields that there are
export const misspelt: Ask = { ...patient, date: "2030-01-15", time: "10:00", provder: "Dr. Smith" };
// @ts-expect-error a flag is a text
export const flag: Schemas["CorrectionIn"] = { new_patient: true };

export const correction: Schemas["CorrectionIn"] = { mrn: "987654321", note: null, prevent_double_booking: "false" };

export function label(status: Schemas["Status"]): string {
    switch (status) {
        case "processing":
            return "in the making";
        case "created":
            return "booked";
        case "failed":
            return "not booked";
        default:
            return status satisfies never;
    }
}

export function remedy(one: Schemas["AppointmentOut"]): string[] {
    const category: Schemas["FailureCategory"] | undefined = one.failure?.category;
    return category === "gave_up" ? [] : (one.failure?.remedy.fields ?? []);
}

type Query = NonNullable<operations["listAppointments"]["parameters"]["query"]>;
export const query: Query = { status: "failed", sort: "-updated_at", fields: "id,status", overdue: false, limit: 20 };
// @ts-expect-error a status that there is not
export const noStatus: Query = { status: "cancelled" };

type Patch = paths["/v1/appointments/{appointment_id}"]["patch"];
export const known: Patch["parameters"]["header"] = { "If-Match": '"3-0a"', "Idempotency-Key": "k", Prefer: "wait=20" };

export function wrong(problem: Patch["responses"]["422"]["content"]["application/problem+json"]): string[] {
    return (problem.errors ?? []).map((one: Schemas["WrongField"]) => `${one.pointer}: ${one.detail}`);
}

export function total(stats: Schemas["StatsOut"]): number {
    return Object.values(stats.status).reduce((sum: number, count: number) => sum + count, 0);
}
