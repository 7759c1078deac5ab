"""Owns the seven webhook bodies of Cobalt's documentation [S], as JSON.stringify writes them."""

SEED_PAYLOADS: dict[str, bytes] = {
    "created": (
        b'{"id":"evt_1J9X2q2eZvKYlo2Cmnopqr","access_token_reference_id":"user_1J9X2q2eZvKYlo2Cstuv"'
        b',"object":"event"'
        b',"created":"2023-10-28T11:00:00Z","type":"appointment.created",'
        b'"data":{"appointment_id":"123456789","date_time":"2025-01-01T10:00"'
        b',"timezone":"America/New_York","provider_id":"emr_prov_123"'
        b',"secondary_provider_id":"emr_sec_prov_456"'
        b',"provider_name":"Dr. Smith","mrn":"123456789"}}'
    ),
    "patient_not_found": (
        b'{"id":"evt_1J9X2q2eZvKYlo2Cwxyz","access_token_reference_id":"user_1J9X2q2eZvKYlo2Cstuv"'
        b',"object":"event"'
        b',"created":"2023-10-28T11:05:00Z","type":"appointment.failed",'
        b'"data":{"appointment_id":"123456790","mrn":"000000"'
        b',"failure_reason":"Patient MRN \'000000\' not found in eCW. '
        b'Please update the MRN using the PATCH /v1/appointments/:id endpoint."}}'
    ),
    "visit_type_unavailable": (
        b'{"id":"evt_1J9X2q2eZvKYlo2Cabcde","access_token_reference_id":"user_1J9X2q2eZvKYlo2Cstuv"'
        b',"object":"event"'
        b',"created":"2023-10-28T11:10:00Z","type":"appointment.failed",'
        b'"data":{"appointment_id":"123456791","mrn":"123456789"'
        b',"failure_reason":"Visit type \'Annual Wellness Visit\' not available for the selected '
        b"resource/provider combination. "
        b'Please update the visit type using the PATCH /v1/appointments/:id endpoint."'
        b',"visit_type":"Annual Wellness Visit"}}'
    ),
    "provider_not_found": (
        b'{"id":"evt_1J9X2q2eZvKYlo2Cfghij","access_token_reference_id":"user_1J9X2q2eZvKYlo2Cstuv"'
        b',"object":"event"'
        b',"created":"2023-10-28T11:15:00Z","type":"appointment.failed",'
        b'"data":{"appointment_id":"123456792","mrn":"123456789"'
        b',"failure_reason":"Provider \'Dr. Unknown\' not found in eCW. '
        b"Please check the provider configuration or use PATCH /v1/appointments/:id endpoint to "
        b'update."'
        b',"provider_name":"Dr. Unknown"}}'
    ),
    "schedule_block": (
        b'{"id":"evt_1J9X2q2eZvKYlo2Cklmno","access_token_reference_id":"user_1J9X2q2eZvKYlo2Cstuv"'
        b',"object":"event"'
        b',"created":"2023-10-28T11:20:00Z","type":"appointment.failed",'
        b'"data":{"appointment_id":"123456793","mrn":"123456789"'
        b',"failure_reason":"Appointment creation failed: The appointment conflicts with a schedule '
        b"block (Admin Block 9am-12pm). Permission denied. "
        b'Please choose a different time or resolve the schedule conflict."'
        b',"conflict_type":"schedule_block","block_details":"Admin Block 9am-12pm"}}'
    ),
    "appointment_conflict": (
        b'{"id":"evt_1J9X2q2eZvKYlo2Cpqrst","access_token_reference_id":"user_1J9X2q2eZvKYlo2Cstuv"'
        b',"object":"event"'
        b',"created":"2023-10-28T11:25:00Z","type":"appointment.failed",'
        b'"data":{"appointment_id":"123456794","mrn":"123456789"'
        b',"failure_reason":"Appointment creation failed: This appointment conflicts with another '
        b"existing appointment. Permission denied. "
        b'Please choose a different time."'
        b',"conflict_type":"appointment_conflict"}}'
    ),
    "gave_up": (
        b'{"id":"evt_1J9X2q2eZvKYlo2Cuvwxyz","access_token_reference_id":"user_1J9X2q2eZvKYlo2Cstuv"'
        b',"object":"event"'
        b',"created":"2023-10-28T11:30:00Z","type":"appointment.failed",'
        b'"data":{"appointment_id":"123456795","mrn":"123456789"'
        b',"failure_reason":"Appointment creation failed after 3 attempts. Last error: Some '
        b"internal error message. "
        b'Please check logs or contact support."}}'
    ),
}
