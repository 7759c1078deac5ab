"""What is asked for where it does not matter what."""

import secrets


def appointment_for(account: str) -> dict[str, str]:
    """The body of a call that asks for an appointment, for a patient of its own."""
    return {
        "account": account,
        "mrn": f"ATTACK-{secrets.token_hex(6)}",
        "location": "Main Clinic",
        "date": "2030-01-15",
        "time": "10:00",
        "provider": "Dr. Smith",
        "type": "new_patient",
    }
